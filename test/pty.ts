/** Runs the command line at a terminal: a pseudo-terminal that Python opens, because Node has none. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from './scoreline.js';

/** Runs a program at a terminal of so many columns, types what it is told to type as soon as a text was shown, and copies out what the terminal gets. */
const RUN = `
import fcntl, json, os, struct, subprocess, sys, termios
columns, typed = int(sys.argv[1]), json.loads(sys.argv[2])
ours, theirs = os.openpty()
fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 24 if columns else 0, columns, 0, 0))
def own():
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
child = subprocess.Popen(sys.argv[3:], stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=own)
os.close(theirs)
seen = b''
while True:
    try:
        data = os.read(ours, 65536)
    except OSError:
        break
    if not data:
        break
    sys.stdout.buffer.write(data)
    seen += data
    while typed and typed[0][0].encode() in seen:
        text, keys = typed.pop(0)
        seen = seen.split(text.encode(), 1)[1]
        os.write(ours, keys.encode())
status = child.wait()
sys.exit(status if status >= 0 else 128 - status)
`;

/** What the terminal got, control sequences and all, and how the program ended. */
export interface Shown {
  readonly exit: number | null;
  readonly text: string;
}

/** How the terminal is, and what a person does there: keys to type, each once a text was shown (behind that before). */
export interface Person {
  readonly columns: number;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly types?: readonly (readonly [after: string, keys: string])[];
}

/** Runs `scoreline` at a terminal and waits for its end. A terminal of 0 columns is one whose size nobody has set. */
export function atTerminal(args: readonly string[], person: Person): Promise<Shown> {
  const { columns, cwd = ROOT, env = {}, types = [] } = person;
  const program = [process.execPath, join(ROOT, 'bin/scoreline.js'), ...args];
  return new Promise((resolve, reject) => {
    const child = spawn(
      'python3',
      ['-c', RUN, String(columns), JSON.stringify(types), ...program],
      {
        cwd,
        env: { ...process.env, TERM: 'xterm-256color', ...env },
        stdio: ['ignore', 'pipe', 'inherit'],
        timeout: 60_000,
        killSignal: 'SIGKILL',
      },
    );
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (more: string) => {
      text += more;
    });
    child.on('error', reject);
    child.on('close', (exit) => resolve({ exit, text: text.replaceAll('\r\n', '\n') }));
  });
}
