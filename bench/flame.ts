// Draws a `.cpuprofile` of Node (`node --cpu-prof`) as a flame graph: `node bench/flame.ts <profile> <svg> [from second]`. Width is the share of the
// time that the process worked, so that two profiles can be laid side by side.
import { readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";

type Node = { id: number; callFrame: { functionName: string; url: string }; children?: number[] };
type Profile = { nodes: Node[]; samples: number[]; timeDeltas: number[] };
type Frame = { name: string; url: string; us: number; children: Map<string, Frame> };

const WIDTH = 1_200;
const ROW = 17;
const IDLE = new Set(["(idle)", "(program)"]);
const LOADING = /internal\/modules|amaro|compileForInternalLoader/;

/** What was on the stack, from the root, for how long. */
function stacks({ nodes, samples, timeDeltas }: Profile, fromUs: number): Frame {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)));
  const root: Frame = { name: "all", url: "", us: 0, children: new Map() };
  let at = 0;
  for (const [i, sample] of samples.entries()) {
    const us = timeDeltas[i] ?? 0;
    at += us;
    const path: Node[] = [];
    for (let id: number | undefined = sample; id !== undefined; id = parents.get(id)) {
      const node = byId.get(id);
      if (node) path.unshift(node);
    }
    const leaf = path.at(-1)?.callFrame.functionName ?? "";
    if (at < fromUs || IDLE.has(leaf) || path.some(({ callFrame }) => LOADING.test(callFrame.url))) continue;
    let frame = root;
    frame.us += us;
    for (const { callFrame } of path.slice(1)) {
      const name = callFrame.functionName || "(anonymous)";
      const found = frame.children.get(name) ?? { name, url: callFrame.url, us: 0, children: new Map() };
      frame.children.set(name, found);
      found.us += us;
      frame = found;
    }
  }
  return root;
}

/** Ours, the client of Redis, what Node and V8 do. */
function colour({ name, url }: Frame): string {
  if (name === "(garbage collector)") return "#c9c2d8";
  if (/packages\/billing/.test(url)) return "#f2a65a";
  if (/bench\//.test(url)) return "#f6d186";
  return /ioredis|redis-/.test(url) ? "#8fbf9f" : "#b9c7d6";
}

const escape = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");

function draw(root: Frame): string {
  const boxes: string[] = [];
  let deepest = 0;
  const place = (frame: Frame, x: number, depth: number) => {
    const width = (frame.us / root.us) * WIDTH;
    if (width < 1) return;
    deepest = Math.max(deepest, depth);
    const share = `${((frame.us / root.us) * 100).toFixed(1)} %`;
    const label = width > 40 ? escape(frame.name.slice(0, Math.floor(width / 6.5))) : "";
    const y = depth * ROW;
    boxes.push(
      `<g><title>${escape(frame.name)} ${share} ${escape(basename(frame.url))}</title><rect x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${ROW - 1}" fill="${colour(frame)}"/><text x="${(x + 3).toFixed(1)}" y="${y + 12}">${label}</text></g>`,
    );
    let childX = x;
    for (const child of [...frame.children.values()].toSorted((a, b) => b.us - a.us)) {
      place(child, childX, depth + 1);
      childX += (child.us / root.us) * WIDTH;
    }
  };
  place(root, 0, 0);
  const style = "text{font:11px monospace;fill:#222}rect{stroke:#fff;stroke-width:.5}";
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${(deepest + 1) * ROW}"><style>${style}</style>${boxes.join("\n")}</svg>\n`;
}

const [from = "", to = "", second = "0"] = process.argv.slice(2);
writeFileSync(to, draw(stacks(JSON.parse(readFileSync(from, "utf8")) as Profile, Number(second) * 1e6)));
