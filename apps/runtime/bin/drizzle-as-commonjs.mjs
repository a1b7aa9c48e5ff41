// Imported before Drizzle: loads its CommonJS files, which it has beside its ES modules. Node asks the package.json next to a module for its
// format, reads Drizzle's 180 kB again for each of its 200 ES modules, and takes 0.6 s of a start for it; as CommonJS it is 0.1.
import { registerHooks } from "node:module";

registerHooks({
  resolve: (specifier, context, next) => {
    const found = next(specifier, context);
    if (!/\/node_modules\/drizzle-orm\/.*\.js$/.test(found.url)) return found;
    return { ...found, url: found.url.replace(/\.js$/, ".cjs"), format: "commonjs" };
  },
});
