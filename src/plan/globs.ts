/** Globs of paths: what they are rooted in, and what they mean. */
import picomatch from 'picomatch';

/**
 * A path in two: the folders before the first that has a special character, and the glob below them. Special are `*`, `?`
 * and `[` alone, and a backslash takes that from them: all else stands for itself.
 */
export function splitGlob(text: string): { base: string; glob: string } {
  const names = text.split('/');
  const first = names.findIndex((name) => /[*?[]/.test(name.replace(/\\./g, '')));
  const plain = (first < 0 ? names : names.slice(0, first)).map((name) =>
    name.replace(/\\(.)/g, '$1'),
  );
  const base = plain.join('/');
  const glob = first < 0 ? '' : names.slice(first).join('/');
  return {
    base: base === '' && text.startsWith('/') ? '/' : base === '' ? '.' : base,
    glob: glob.replace(
      /(\\.)|([(){}+@|]|(?<!\[)!)/g,
      (_, escaped, special) => escaped ?? `\\${special}`,
    ),
  };
}

/** Whether a path, relative to what a glob is rooted in, is one that it means. */
export function matcherOf(glob: string): (path: string) => boolean {
  const isMatch = picomatch(glob, { dot: false, nobrace: true, noext: true, nonegate: true });
  // A second argument would make its answer an object.
  return (path) => isMatch(path);
}

/** Whether a file at `path` is what `text`, a path or a glob, means: it, or something below a folder of that name. */
export function coversPath(text: string, path: string): boolean {
  const places = [...foldersOf(path), path];
  if (places.includes(text)) return true;
  const { base, glob } = splitGlob(text);
  if (glob === '') return false;
  const isMatch = matcherOf(glob);
  if (base === '.') return places.some((place) => isMatch(place));
  return places.some(
    (place) => place.startsWith(`${base}/`) && isMatch(place.slice(base.length + 1)),
  );
}

/** Whether a glob can mean something below a folder of this path. */
export function reaches(glob: string, folder: string): boolean {
  const isMatch = matcherOf(glob);
  if ([...foldersOf(folder), folder].some((place) => isMatch(place))) return true;
  const names = glob.split('/');
  const depth = folder.split('/').length;
  const anywhere = names.slice(0, depth).indexOf('**');
  // The glob as far as it says something of the folder itself.
  const head = anywhere < 0 ? names.slice(0, depth) : names.slice(0, anywhere + 1);
  return (anywhere >= 0 || names.length > depth) && matcherOf(head.join('/'))(folder);
}

/** The folders that a path lies in, outermost first. */
export function foldersOf(path: string): string[] {
  const names = path.split('/').slice(0, -1);
  return names.map((_, index) => names.slice(0, index + 1).join('/'));
}
