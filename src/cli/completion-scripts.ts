/** Scripts by which shells complete command lines, made from the commands themselves. They hold no word of a user's. */

/** A command as a shell completes it: `path` is its name, behind that of the command above it where there is one. */
export interface CompletedCommand {
  readonly path: string;
  readonly summary: string;
  /** The commands below it. */
  readonly commands: readonly string[];
  readonly options: readonly CompletedOption[];
}

/** An option: its names with their dashes, and what may stand behind it. */
export interface CompletedOption {
  readonly names: readonly string[];
  readonly description: string;
  readonly takesValue: boolean;
  readonly choices: readonly string[];
}

/** The shells that there are scripts for. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** The script of a shell. The first command is the program itself, under an empty path. */
export function completionScript(
  shell: (typeof SHELLS)[number],
  commands: readonly CompletedCommand[],
): string {
  const lines =
    shell === 'bash'
      ? bashLines(commands)
      : shell === 'zsh'
        ? zshLines(commands)
        : fishLines(commands);
  return lines.join('\n');
}

/** Which words lead from one command to another, as arms of a `case` over "command word". */
function pathArms(commands: readonly CompletedCommand[]): string[] {
  return commands.flatMap(({ path, commands: below }) =>
    below.map(
      (name) =>
        `      ${quoted(`${path} ${name}`)}) command=${quoted(`${path} ${name}`.trim())} ;;`,
    ),
  );
}

/** The values of options that have choices, as arms of a `case` over "command option"; `give` makes a command of words. */
function choiceArms(
  commands: readonly CompletedCommand[],
  give: (words: readonly string[]) => string,
): string[] {
  return commands.flatMap(({ path, options }) =>
    options
      .filter(({ choices }) => choices.length > 0)
      .map(({ names, choices }) => {
        const patterns = names.map((name) => quoted(`${path} ${name}`)).join(' | ');
        return `    ${patterns}) ${give(choices)}; return ;;`;
      }),
  );
}

function wordArms(
  commands: readonly CompletedCommand[],
  give: (words: readonly string[]) => string,
  wordsOf: (command: CompletedCommand) => readonly string[],
): string[] {
  return commands
    .filter((command) => wordsOf(command).length > 0)
    .map((command) => `      ${quoted(command.path)}) ${give(wordsOf(command))} ;;`);
}

const optionNames = ({ options }: CompletedCommand): string[] =>
  options.flatMap(({ names }) => names);

function bashLines(commands: readonly CompletedCommand[]): string[] {
  const reply = (words: readonly string[]): string =>
    `COMPREPLY=($(compgen -W ${quoted(words.join(' '))} -- "$cur"))`;
  return [
    '# Load it with: source <(scoreline completion bash)',
    '_scoreline() {',
    `  local cur="\${COMP_WORDS[COMP_CWORD]}" command="" i`,
    '  for ((i = 1; i < COMP_CWORD; i++)); do',
    `    case "$command \${COMP_WORDS[i]}" in`,
    ...pathArms(commands),
    '    esac',
    '  done',
    '  COMPREPLY=()',
    `  case "$command \${COMP_WORDS[COMP_CWORD-1]}" in`,
    ...choiceArms(commands, reply),
    '  esac',
    '  if [[ "$cur" == -* ]]; then',
    '    case "$command" in',
    ...wordArms(commands, reply, optionNames),
    '    esac',
    '  else',
    '    case "$command" in',
    ...wordArms(commands, reply, (command) => command.commands),
    '    esac',
    '  fi',
    '}',
    '# Where nothing is found, names of files are.',
    'complete -o default -F _scoreline scoreline',
  ];
}

function zshLines(commands: readonly CompletedCommand[]): string[] {
  const add = (words: readonly string[]): string => `compadd -- ${words.map(quoted).join(' ')}`;
  return [
    '#compdef scoreline',
    '# Load it with: source <(scoreline completion zsh)',
    '_scoreline() {',
    '  local command="" i',
    '  for ((i = 2; i < CURRENT; i++)); do',
    `    case "$command \${words[i]}" in`,
    ...pathArms(commands),
    '    esac',
    '  done',
    `  case "$command \${words[CURRENT-1]}" in`,
    ...choiceArms(commands, add),
    '  esac',
    '  if [[ "$PREFIX" == -* ]]; then',
    '    case "$command" in',
    ...wordArms(commands, add, optionNames),
    '    esac',
    '  else',
    '    case "$command" in',
    ...wordArms(commands, add, (command) => command.commands),
    '      *) _files ;;',
    '    esac',
    '  fi',
    '}',
    'compdef _scoreline scoreline',
  ];
}

function fishLines(commands: readonly CompletedCommand[]): string[] {
  const seen = (path: string): string =>
    path === ''
      ? '__fish_use_subcommand'
      : path
          .split(' ')
          .map((name) => `__fish_seen_subcommand_from ${name}`)
          .join('; and ');
  return [
    '# Load it with: scoreline completion fish | source',
    ...commands.flatMap(({ path, commands: below, options }) => {
      const where = `complete -c scoreline -n ${quoted(seen(path))}`;
      const names = below.map((name) => {
        const full = `${path} ${name}`.trim();
        const summary = commands.find((one) => one.path === full)?.summary ?? '';
        const unseen =
          path === '' ? '' : `; and not __fish_seen_subcommand_from ${below.join(' ')}`;
        return `complete -c scoreline -f -n ${quoted(seen(path) + unseen)} -a ${name} -d ${quoted(summary)}`;
      });
      const flags = options.map(({ names: own, description, takesValue, choices }) => {
        const long = own
          .filter((name) => name.startsWith('--'))
          .map((name) => `-l ${name.slice(2)}`);
        const short = own
          .filter((name) => /^-[^-]/.test(name))
          .map((name) => `-s ${name.slice(1)}`);
        const value =
          choices.length > 0 ? `-x -a ${quoted(choices.join(' '))}` : takesValue ? '-r' : '';
        return [where, ...long, ...short, value, `-d ${quoted(description)}`]
          .filter((part) => part !== '')
          .join(' ');
      });
      return [...names, ...flags];
    }),
  ];
}

/** A text as one word of a shell: in single quotes, as all three take them. */
function quoted(text: string): string {
  return `'${text.replaceAll('\\', '').replaceAll("'", '’')}'`;
}
