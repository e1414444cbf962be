/** The worker processes: started when needed, given one request at a time, killed when they hang, replaced when they die. */
import { type ChildProcess, fork } from 'node:child_process';
import type { Readable } from 'node:stream';
import { saysStarved, shown } from '../base/errors.js';
import { sizeText } from '../base/machine.js';
import { readReport } from '../base/watch-report.js';
import {
  type BatchPlace,
  type FromWorker,
  fromWire,
  isMessage,
  type RequestKind,
  type Requests,
  type ToWorker,
  type WorkerSetup,
} from '../worker/protocol.js';
import { lackedMemory, WorkerDied, type WorkerEnd } from './worker-died.js';

/** How a pool is to work. */
export interface PoolOptions {
  readonly size: number;
  /** A worker that gives no sign of life for so long is killed. */
  readonly timeoutMs: number;
  /** What all workers together may take: where they take more, the largest is killed. */
  readonly memoryBytes: number;
  /** What a worker is told, where so many share the memory. */
  readonly setupFor: (worker: number, workers: number) => WorkerSetup;
  readonly onProgress: (worker: number, rows: number) => void;
  /** Told when there are fewer workers from now on, because one was killed: by this pool for its memory, or by another. */
  readonly onFewer?: (workers: number, end: WorkerEnd) => void;
}

/** How a worker that is alone is asked. */
export interface AloneOptions {
  /** Whether it has to be a new one. */
  readonly fresh?: boolean;
  /** A deadline of its own in place of the pool's. */
  readonly timeoutMs?: number;
}

/** Asks a worker while no other runs. */
export type AskAlone = <Kind extends RequestKind>(
  kind: Kind,
  ask: Requests[Kind]['ask'],
  options?: AloneOptions,
) => Promise<Requests[Kind]['answer']>;

interface Pending {
  readonly kind: RequestKind;
  readonly ask: unknown;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly timeoutMs?: number | undefined;
}

interface Member {
  readonly index: number;
  readonly child: ChildProcess;
  /** Whether it has started up: until then it has longer to show that it is alive. */
  ready: boolean;
  pending: Pending | undefined;
  /** Whether the model runs: then the deadline of a batch holds. */
  inBatch: boolean;
  /** The batch that the model has now. */
  batch: BatchPlace | undefined;
  id: number;
  deadline: NodeJS.Timeout | undefined;
  hung: boolean;
  /** Whether the pool has ended it. */
  ended: boolean;
  /** Its memory as it last said; and what all workers took when the pool killed it for that. */
  bytes: number;
  overBytes: number | undefined;
  /** What its request took more of than its own limit allows. */
  over: 'memory' | 'time' | undefined;
  /** How long it may be silent now. */
  silentMs: number;
  stderr: string;
}

/** How long a worker may be silent at least when no batch is running, on a busy machine. */
const UNHURRIED_MS = 60_000;
const STDERR_KEPT = 4096;
/** What ONNX Runtime logs of batches that failed: it was dealt with. */
const RUNTIME_LOG = /^.*\[[A-Z]:onnxruntime:.*$/gm;

/**
 * V8's flags for workers. There is one for each core: helper threads that collect its small heap would take time from the
 * models. A worker collects after each task: what DuckDB handed out is freed when its handles are collected, and V8,
 * which does not see how large that is, would wait too long. And the old space, of which a worker uses 30 MiB, is not collected
 * again and again while it grows.
 */
const WORKER_FLAGS = ['--single-threaded-gc', '--expose-gc', '--initial-old-space-size=96'];

/** A pool of workers. The opener closes it. */
export class Pool {
  private readonly options: PoolOptions;
  private readonly queue: Pending[] = [];
  private readonly members = new Map<number, Member>();
  private readonly peaks = new Map<number, number>();
  private closed = false;
  private draining = false;
  private nextId = 1;
  private limit: number;
  /** Work that wants to be alone: how much of it there is, its turns, and who waits for the others to end. */
  private alones = 0;
  private turn: Promise<unknown> = Promise.resolve();
  private whenIdle: (() => void) | undefined;

  constructor(options: PoolOptions) {
    this.options = options;
    this.limit = options.size;
  }

  /** The number of workers it may run at once: fewer than at first when some were killed for memory. */
  get size(): number {
    return this.limit;
  }

  /** The most memory that the workers used, in bytes: the sum of each one's peak. */
  get peakBytes(): number {
    return [...this.peaks.values()].reduce((sum, bytes) => sum + bytes, 0);
  }

  /** Asks the next free worker. Rejects with the worker's error, or with `WorkerDied`. */
  async ask<Kind extends RequestKind>(
    kind: Kind,
    ask: Requests[Kind]['ask'],
  ): Promise<Requests[Kind]['answer']> {
    if (this.closed) throw new WorkerDied('the workers were stopped', 'closed');
    const answer = await new Promise<unknown>((resolve, reject) => {
      this.queue.push({ kind, ask, resolve, reject });
      this.dispatch();
    });
    // The worker is this same program: its answers have the types of `Requests`.
    return answer as Requests[Kind]['answer'];
  }

  /** Lets what runs come to its end, begins nothing else, and does some work with one worker at a time. */
  async alone<Result>(work: (ask: AskAlone) => Promise<Result>): Promise<Result> {
    this.alones++;
    const turn = this.turn.then(async () => {
      await this.idle();
      await this.endMembers();
      try {
        return await work((kind, ask, options) => this.askAlone(kind, ask, options));
      } finally {
        await this.endMembers();
        this.alones--;
        this.dispatch();
      }
    });
    this.turn = turn.catch(() => undefined);
    return turn;
  }

  private async askAlone<Kind extends RequestKind>(
    kind: Kind,
    ask: Requests[Kind]['ask'],
    { fresh = false, timeoutMs }: AloneOptions = {},
  ): Promise<Requests[Kind]['answer']> {
    if (fresh) await this.endMembers();
    if (this.closed || this.draining) throw new WorkerDied('the workers were stopped', 'closed');
    const answer = await new Promise<unknown>((resolve, reject) => {
      const [member = this.start()] = this.members.values();
      this.give(member, { kind, ask, resolve, reject, timeoutMs });
    });
    return answer as Requests[Kind]['answer'];
  }

  private async idle(): Promise<void> {
    if (!this.busy()) return;
    await new Promise<void>((resolve) => {
      this.whenIdle = resolve;
    });
  }

  private busy(): boolean {
    return [...this.members.values()].some(({ pending }) => pending !== undefined);
  }

  /** Starts workers ahead of their first request, so that they are ready when it comes. */
  warm(count: number): void {
    while (this.members.size < Math.min(count, this.limit)) this.start();
  }

  /** Lets the workers end what they are doing, for so many ms, and gives them nothing more; then ends them. */
  drain(graceMs: number): void {
    if (this.draining) return;
    this.draining = true;
    const deadline = setTimeout(() => void this.close(), graceMs);
    deadline.unref();
    this.dispatch();
  }

  /** Ends all workers at once; what they were doing is rejected. */
  async close(): Promise<void> {
    this.closed = true;
    for (const pending of this.queue.splice(0))
      pending.reject(new WorkerDied('the workers were stopped', 'closed'));
    await this.endMembers();
  }

  private async endMembers(): Promise<void> {
    const ends = [...this.members.values()].map(
      (member) =>
        new Promise<void>((resolve) => {
          member.ended = true;
          member.child.once('close', () => resolve());
          member.child.kill('SIGKILL');
        }),
    );
    await Promise.all(ends);
  }

  private dispatch(): void {
    if (!this.busy()) {
      this.whenIdle?.();
      this.whenIdle = undefined;
      if (this.draining) {
        void this.close();
        return;
      }
    }
    if (this.draining || this.alones > 0) return;
    while (this.queue.length > 0 && !this.closed) {
      const idle = [...this.members.values()].find(({ pending }) => pending === undefined);
      if (idle === undefined && this.members.size >= this.limit) return;
      this.give(idle ?? this.start(), this.queue.shift()!);
    }
  }

  private give(member: Member, pending: Pending): void {
    member.pending = pending;
    member.inBatch = pending.kind === 'score' || pending.kind === 'probe';
    member.batch = undefined;
    member.id = this.nextId++;
    this.watch(member);
    this.send(member, {
      scoreline: 'request',
      id: member.id,
      kind: pending.kind,
      ask: pending.ask,
    });
  }

  private send(member: Member, message: ToWorker): void {
    // A worker that is gone is dealt with when it closes.
    member.child.send(message, () => undefined);
  }

  private start(): Member {
    let index = 0;
    while (this.members.has(index)) index++;
    const child = fork(new URL('../worker/main.js', import.meta.url), [String(process.pid)], {
      // ONNX Runtime would report its use over the network: nothing here leaves the machine. And a worker that talks to no one
      // needs none of the certificates that Node would take 50 ms to read.
      // biome-ignore lint/style/noProcessEnv: a worker gets the environment of its parent.
      env: { ...process.env, ORT_DISABLE_TELEMETRY: '1', NODE_EXTRA_CA_CERTS: undefined },
      execArgv: [...process.execArgv, ...WORKER_FLAGS],
      serialization: 'advanced',
      // The last one is for its watchdog: see `REPORT_FD`.
      stdio: ['ignore', 'ignore', 'pipe', 'ipc', 'pipe'],
    });
    const member: Member = {
      index,
      child,
      ready: false,
      pending: undefined,
      inBatch: false,
      batch: undefined,
      id: 0,
      deadline: undefined,
      hung: false,
      ended: false,
      bytes: 0,
      overBytes: undefined,
      over: undefined,
      silentMs: 0,
      stderr: '',
    };
    this.members.set(index, member);
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      member.stderr = (member.stderr + text).slice(-STDERR_KEPT);
    });
    this.listen(member, child.stdio[4] as Readable);
    child.on('message', (message: unknown) => {
      if (isMessage(message)) this.receive(member, message as FromWorker);
    });
    child.on('error', (error) => this.lost(member, error.message, null));
    child.on('close', (code, signal) => this.lost(member, endOf(code, signal), signal));
    this.send(member, { scoreline: 'setup', setup: this.setupOf(index) });
    return member;
  }

  private setupOf(index: number): WorkerSetup {
    return this.options.setupFor(index, this.alones > 0 ? 1 : this.limit);
  }

  /** Listens to the watchdog of a worker. */
  private listen(member: Member, pipe: Readable): void {
    let rest = '';
    pipe.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const report = readReport(line);
        if (report?.kind === 'over') member.over = report.what;
        if (report?.kind === 'memory') this.weigh(member, report.bytes);
      }
    });
    // It ends with its worker, which has an event of its own.
    pipe.on('error', () => undefined);
  }

  /** Kills the largest worker where all together take too much. */
  private weigh(member: Member, bytes: number): void {
    member.bytes = bytes;
    const living = [...this.members.values()].filter((each) => !each.ended);
    const total = living.reduce((sum, each) => sum + each.bytes, 0);
    if (total <= this.options.memoryBytes) return;
    const largest = living.reduce((a, b) => (b.bytes > a.bytes ? b : a));
    largest.bytes = 0;
    largest.overBytes = total;
    if (largest.pending === undefined) this.retire(largest);
    else largest.child.kill('SIGKILL');
  }

  private receive(member: Member, message: FromWorker): void {
    switch (message.scoreline) {
      case 'ready':
        member.ready = true;
        if (member.pending !== undefined) this.watch(member);
        return;
      case 'progress':
        if (message.batch !== undefined) member.batch = message.batch ?? undefined;
        this.watch(member);
        if (message.rows > 0) this.options.onProgress(member.index, message.rows);
        return;
      case 'trial':
        member.inBatch = true;
        this.watch(member);
        return;
      case 'answer':
        this.peaks.set(
          member.index,
          Math.max(this.peaks.get(member.index) ?? 0, message.peakBytes),
        );
        this.settle(member, message.id)?.resolve(message.answer);
        break;
      case 'failure':
        // DuckDB is beyond use in a worker that met an internal error: another takes its place.
        if (message.fatal) this.retire(member);
        this.settle(member, message.id)?.reject(fromWire(message.error));
        break;
    }
    this.dispatch();
  }

  private settle(member: Member, id: number): Pending | undefined {
    if (id !== member.id) return undefined;
    clearTimeout(member.deadline);
    const pending = member.pending;
    member.pending = undefined;
    if (this.members.size > this.limit) this.retire(member);
    return pending;
  }

  private watch(member: Member): void {
    clearTimeout(member.deadline);
    member.silentMs = this.patienceMs(member);
    member.deadline = setTimeout(() => {
      member.hung = true;
      member.child.kill('SIGKILL');
    }, member.silentMs);
  }

  /** The deadline is that of a batch: starting up and looking at files may take longer. */
  private patienceMs({ ready, inBatch, pending }: Member): number {
    const timeoutMs = pending?.timeoutMs ?? this.options.timeoutMs;
    return ready && inBatch ? timeoutMs : Math.max(timeoutMs, UNHURRIED_MS);
  }

  private retire(member: Member): void {
    this.members.delete(member.index);
    member.ended = true;
    member.child.kill('SIGKILL');
  }

  private lost(member: Member, how: string, signal: NodeJS.Signals | null): void {
    clearTimeout(member.deadline);
    if (this.members.get(member.index) === member) this.members.delete(member.index);
    const pending = member.pending;
    member.pending = undefined;
    const died = new WorkerDied(this.endText(member, how), this.endKind(member), {
      signal,
      batch: member.batch,
      ready: member.ready,
      inModel: member.inBatch,
    });
    if (lackedMemory(died)) this.shrink(died.how);
    pending?.reject(died);
    this.dispatch();
  }

  private endKind({ ended, hung, over, overBytes, stderr }: Member): WorkerEnd {
    if (this.closed || ended) return 'closed';
    if (hung) return 'hung';
    if (over !== undefined) return 'limit';
    if (overBytes !== undefined) return 'memory';
    return saysStarved(stderr) ? 'starved' : 'died';
  }

  private endText({ hung, silentMs, over, overBytes, stderr }: Member, how: string): string {
    if (hung) return `no sign of life for ${silentMs / 1000} s`;
    if (over !== undefined) return `it took too much ${over}`;
    if (overBytes !== undefined) {
      const allowed = sizeText(this.options.memoryBytes);
      return `the worker processes took ${sizeText(overBytes)}, more than run.memory (${allowed})`;
    }
    const said = lastWords(stderr.replace(RUNTIME_LOG, ''));
    return said === '' ? how : `${how}: ${shown(said)}`;
  }

  /** Half as many workers: what was killed for memory may find enough beside fewer. */
  private shrink(end: WorkerEnd): void {
    if (this.limit === 1) return;
    this.limit = Math.max(1, Math.floor(this.limit / 2));
    this.options.onFewer?.(this.limit, end);
  }
}

/** The line of what a process wrote at its end that says most: that of an error, or the first that has words. */
function lastWords(text: string): string {
  const lines = text.split('\n').filter((line) => /\w/.test(line));
  const telling = lines.find((line) => /^\w*Error\b|^# Fatal|^FATAL|what\(\):/.test(line));
  return (telling ?? lines[0] ?? '').trim();
}

function endOf(code: number | null, signal: NodeJS.Signals | null): string {
  return signal === null ? `it exited with ${code}` : `it was ended by ${signal}`;
}

/** How often something is asked before the death of workers over it is taken for its fault. */
const ASKS = 3;

/** Asks again when a worker dies: one that the machine killed says nothing of what it was asked. */
export async function askPatiently<Kind extends RequestKind>(
  pool: Pool,
  kind: Kind,
  ask: Requests[Kind]['ask'],
): Promise<Requests[Kind]['answer']> {
  for (let asked = 1; ; asked++) {
    try {
      return await pool.ask(kind, ask);
    } catch (error) {
      if (!(error instanceof WorkerDied) || asked === ASKS) throw error;
      if (error.how === 'memory') return pool.alone((alone) => alone(kind, ask));
      if (error.how !== 'died' && error.how !== 'starved') throw error;
    }
  }
}
