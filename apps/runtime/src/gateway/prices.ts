/**
 * Prices and providers in memory, whole: read at start, read again when Postgres says that one changed or when the connection that
 * listens comes back. While Postgres is down, the last that was read holds.
 */
import {
  buildPriceList,
  listPrices,
  loadPriceList,
  type PriceList,
  pricesHoldUntilMs,
  type ResolvedPrice,
  resolvePrice,
} from "@drawdown/billing";
import { type Db, schema } from "@drawdown/db";
import { LRUCache } from "lru-cache";
import type { Logger } from "../log.ts";
import { GatewayError } from "./errors.ts";
import type { Caller } from "./keys.ts";
import { mayUse, requireModel } from "./limits.ts";
import type { Provider } from "./provider.ts";

export type PricedModel = {
  resolved: ResolvedPrice;
  /** The model's name at its provider: without `provider/` before it. */
  model: string;
};

/** `names`: by each of them a key's list of models may allow it. */
type Found = PricedModel & { names: readonly [string, ...string[]] };
type Known = {
  list: PriceList;
  providers: ReadonlyMap<string, Provider>;
  /** What was resolved lately, by customer type, currency, provider and model, and until when it holds. */
  found: LRUCache<string, { found: Found; untilMs: number }>;
};

/** Names come from clients: no more of them are kept. */
const maxFound = 10_000;

function known(list: PriceList, providers: Known["providers"]): Known {
  return { list, providers, found: new LRUCache({ max: maxFound }) };
}

export class Prices {
  readonly #db: Db;
  readonly #log: Logger;
  #known = known(buildPriceList([]), new Map());
  #reading: Promise<void> | undefined;
  #readAgain = false;

  constructor(db: Db, log: Logger) {
    this.#db = db;
    this.#log = log;
  }

  /** Reads all prices. Calls while one is running become one more run: an import of hundreds of rows is read twice at most. */
  async refresh(): Promise<void> {
    if (this.#reading !== undefined) {
      this.#readAgain = true;
      return await this.#reading;
    }
    this.#reading = this.#readUntilQuiet().finally(() => {
      this.#reading = undefined;
    });
    await this.#reading;
  }

  async #readUntilQuiet(): Promise<void> {
    do {
      this.#readAgain = false;
      const [list, providers] = await Promise.all([loadPriceList(this.#db), this.#db.select().from(schema.provider)]);
      this.#known = known(list, new Map(providers.map((provider) => [provider.name.toLowerCase(), provider])));
      for (const problem of list.problems)
        this.#log.error({ ...problem }, "a price row cannot be read: it is no price");
    } while (this.#readAgain);
  }

  /** The price of a model for this caller, now; one that was asked before is not searched for again. Throws `model_not_priced`, `model_not_allowed`. */
  price(caller: Caller, asked: { model: string; provider?: string }): PricedModel {
    const { found, list } = this.#known;
    const at = new Date();
    const name = JSON.stringify([caller.customerTypeId, caller.account.currency, asked.provider, asked.model]);
    const before = found.get(name);
    const priced = before !== undefined && at.getTime() < before.untilMs ? before.found : this.#find(caller, asked, at);
    if (priced !== before?.found) found.set(name, { found: priced, untilMs: pricesHoldUntilMs(list, at) });
    requireModel(caller, priced.names);
    return priced;
  }

  #find(caller: Caller, asked: { model: string; provider?: string }, at: Date): Found {
    const query = { customerTypeId: caller.customerTypeId, currency: caller.account.currency, at };
    const resolved = resolvePrice(this.#known.list, { ...asked, ...query });
    if (resolved === undefined) {
      const whose = asked.provider === undefined ? "" : ` of ${JSON.stringify(asked.provider)}`;
      throw new GatewayError("model_not_priced", `The model ${JSON.stringify(asked.model)}${whose} has no price here.`);
    }
    const prefix = `${resolved.provider}/`;
    const prefixed = asked.model.toLowerCase().startsWith(prefix);
    const model = prefixed ? asked.model.slice(prefix.length) : asked.model;
    // Without its provider a name means its maker's price: that name allows the maker's model alone.
    const bare = resolvePrice(this.#known.list, { model, ...query });
    return {
      resolved,
      model,
      names: [`${prefix}${model}`, ...(bare?.provider === resolved.provider ? [model] : [])],
    };
  }

  /** The price, and the provider to send the call to. Throws `model_not_priced` for a model that nobody serves here. */
  route(caller: Caller, model: string): PricedModel & { provider: Provider } {
    const priced = this.price(caller, { model });
    const provider = this.#known.providers.get(priced.resolved.provider);
    if (provider === undefined) {
      throw new GatewayError("model_not_priced", `The model ${JSON.stringify(model)} is not served here.`);
    }
    return { ...priced, provider };
  }

  /** Every model that this caller may ask for, by the name to ask with. */
  models(caller: Caller): { id: string; ownedBy: string; created: Date }[] {
    const query = { customerTypeId: caller.customerTypeId, currency: caller.account.currency, at: new Date() };
    return listPrices(this.#known.list, query)
      .filter(({ provider }) => this.#known.providers.has(provider))
      .map(({ provider, price }) => {
        const bare = resolvePrice(this.#known.list, { model: price.model, ...query });
        const id =
          bare?.provider === provider && bare.price.id === price.id ? price.model : `${provider}/${price.model}`;
        return { id, ownedBy: provider, created: price.validFrom };
      })
      .filter(({ id, ownedBy }) => mayUse(caller, id.startsWith(`${ownedBy}/`) ? [id] : [id, `${ownedBy}/${id}`]));
  }
}
