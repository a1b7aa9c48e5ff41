// Who may use the console, and one's own sign-in. Expected answers are values; each change is an act on record.
import { TRPCError } from "@trpc/server";
import { z } from "zod";
import { actInput, actOf } from "@/server/act-input.ts";
import { countAttempt, forgiveAttempt } from "@/server/attempts.ts";
import { domain } from "@/server/domain.ts";
import { adminProcedure, router, viewerProcedure } from "@/server/trpc.ts";

const role = z.enum(["viewer", "support", "admin"]);
const whom = { operatorId: z.uuid(), ...actInput };
const password = z.string().max(128);

const managed = {
  list: adminProcedure.query(({ ctx }) => domain.listOperators(ctx)),
  create: adminProcedure
    .input(z.object({ email: z.string().max(320), name: z.string().max(128).optional(), role, ...actInput }))
    .mutation(({ ctx, input: { email, name, role: as, ...why } }) =>
      domain.createOperator(
        ctx,
        { email, role: as, ...(name === undefined ? {} : { name }) },
        actOf(ctx.operator, why),
      ),
    ),
  setRole: adminProcedure
    .input(z.object({ role, ...whom }))
    .mutation(({ ctx, input }) =>
      domain.setOperatorRole(ctx, input.operatorId, input.role, actOf(ctx.operator, input)),
    ),
  setEnabled: adminProcedure
    .input(z.object({ enabled: z.boolean(), ...whom }))
    .mutation(({ ctx, input }) =>
      domain.setOperatorEnabled(ctx, input.operatorId, input.enabled, actOf(ctx.operator, input)),
    ),
  resetPassword: adminProcedure
    .input(z.object(whom))
    .mutation(({ ctx, input }) => domain.resetOperatorPassword(ctx, input.operatorId, actOf(ctx.operator, input))),
  signOut: adminProcedure
    .input(z.object(whom))
    .mutation(({ ctx, input }) => domain.signOutOperator(ctx, input.operatorId, actOf(ctx.operator, input))),
};

const own = {
  /** Who is signed in, in this session. */
  me: viewerProcedure.query(({ ctx }) => ctx.operator),
  mySessions: viewerProcedure.query(({ ctx }) => domain.listOperatorSessions(ctx, ctx.operator.id)),
  signOutOthers: viewerProcedure
    .input(z.object({ actId: z.uuid() }))
    .mutation(({ ctx, input }) =>
      domain.signOutOthers(
        ctx,
        { operatorId: ctx.operator.id, sessionId: ctx.operator.sessionId },
        actOf(ctx.operator, { ...input, reason: "own sessions" }),
      ),
    ),
  changePassword: viewerProcedure
    .input(z.object({ actId: z.uuid(), present: password, next: password }))
    .mutation(async ({ ctx, input: { actId, present, next } }) => {
      const { id: operatorId, email, sessionId } = ctx.operator;
      // A stolen session is no way to guess the password.
      const attempt = { email, headers: ctx.headers };
      const waitSeconds = await countAttempt(attempt);
      if (waitSeconds !== null)
        throw new TRPCError({
          code: "TOO_MANY_REQUESTS",
          message: `Too many attempts. Try again in ${waitSeconds} seconds.`,
        });
      const changed = await domain.changeOwnPassword(
        ctx,
        { operatorId, sessionId, present, next },
        actOf(ctx.operator, { actId, reason: "own password" }),
      );
      if (changed.outcome !== "wrong_password") await forgiveAttempt(attempt);
      return changed;
    }),
};

export const operatorsRouter = router({ ...managed, ...own });
