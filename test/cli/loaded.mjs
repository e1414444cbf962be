/** Imported before a program: writes the modules that it and its children load into the file that LOADED names. */
import { appendFileSync } from 'node:fs';
import { createRequire, register } from 'node:module';
import { isMainThread } from 'node:worker_threads';

const HOOKS = `
import { appendFileSync } from 'node:fs';
export async function load(url, context, next) {
  appendFileSync(process.env.LOADED, url + '\\n');
  return next(url, context);
}
`;

if (isMainThread) {
  register(`data:text/javascript,${encodeURIComponent(HOOKS)}`);
  // Those that are required pass by the hooks, and a worker may end without saying so.
  const extensions = createRequire(import.meta.url)('node:module')._extensions;
  for (const [extension, load] of Object.entries(extensions))
    extensions[extension] = (module, path) => {
      appendFileSync(process.env.LOADED, `${path}\n`);
      return load(module, path);
    };
}
