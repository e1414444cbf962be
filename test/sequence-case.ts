/** A random sequence of commands on one output: each step is compared with what a simple model of it says. */
import { chmodSync, existsSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { expect } from 'vitest';
import type { RunReport } from '../src/report/report.js';
import type { PlanReport } from '../src/run/plan-job.js';
import { type JobCase, listFiles, makeCase } from './job-case.js';
import { manifestOf } from './published.js';
import type { Random } from './random.js';
import { type CommandResult, scoreline } from './scoreline.js';
import { changeSettings, firstSettings, Input, jobOf, type Settings } from './sequence-input.js';
import { contentOf, fixtureRows, Model, type RunKind, refusal } from './sequence-model.js';
import {
  bytesOf,
  checkPlan,
  checkPublished,
  checkRows,
  entriesOf,
  hasDigest,
  isLinked,
} from './sequence-output.js';

/** What no command may say: its own faults. */
const FAULT = /\bbug\b|^\s+at |at file:|node:internal|Cannot read|is not a function/m;

/** Commands in a row, and what became of their output. */
export class Sequence {
  /** What was done, a line each: it is shown when a step fails. */
  readonly log: string[] = [];
  readonly model = new Model();
  readonly job: JobCase = makeCase();
  readonly settings: Settings;
  readonly input: Input;
  private readonly random: Random;
  /** By the identity of a partition's content: its record, which is to be the same bytes every time. */
  private readonly records = new Map<string, string>();
  /** By the job's name: the rows of the fixture that was recorded, and with which columns. */
  private readonly recorded = new Map<string, { readonly rows: string; readonly kept: string }>();
  private readonly earlier: Settings[] = [];
  private hasBaseline = false;
  /** Whether something was taken out of the store by hand. */
  private isLossy = false;
  /** Whether older snapshots, or what is staged, may have a damaged file. */
  private hasScars = false;
  private fresh = 0;

  constructor(random: Random) {
    this.random = random;
    this.settings = firstSettings(random);
    const csv = random.next() < 0.3;
    const days = random.next() < 0.3;
    const long = random.next() < 0.15 && !csv;
    this.input = new Input(this.job.input, random, { csv, days, long });
    this.model.keepSnapshots = this.settings.keepSnapshots;
  }

  /** Puts some input there. */
  async begin(): Promise<void> {
    this.log.push(JSON.stringify(this.input.layout), ...(await this.input.begin()));
  }

  /** Draws a step and takes it. */
  async step(): Promise<void> {
    const { random } = this;
    for (let changes = random.whole(0, 2); changes > 0; changes--) {
      if (random.next() < 0.55) this.log.push(await this.input.change());
      else this.changeJob();
    }
    this.job.change(jobOf(this.settings, this.job.folder, this.input.layout));
    await random.pick(this.acts())();
    checkPublished(this.job, this.model, this.records);
    await checkRows(this.job, this.model);
  }

  /** Runs until all is published as the job stands, then looks for damage. */
  async end(): Promise<void> {
    await this.verify('--all');
    await this.run({ because: true });
    await checkRows(this.job, this.model);
    await this.verify('--all');
  }

  private acts(): (() => Promise<unknown>)[] {
    const { random } = this;
    const unit = this.input.unit(random.whole(1, 5));
    const times = (count: number, act: () => Promise<unknown>): (() => Promise<unknown>)[] =>
      Array.from({ length: count }, () => act);
    const staged = [...this.model.staged.keys()];
    const { output } = this.job;
    return [
      ...times(9, () => this.run({})),
      ...times(3, () => this.run({ only: unit })),
      ...times(3, () => this.run({ keepGoing: true })),
      ...times(3, () => this.run({ prune: true })),
      ...times(2, () => this.run({ because: true })),
      () => this.run({ because: true, prune: true, keepGoing: true }),
      () => this.run({ only: unit, prune: true }),
      ...times(3, () => this.shards(random.whole(2, 3))),
      ...times(2, () => this.plan(false, undefined)),
      ...times(3, () => this.plan(true, random.pick([undefined, undefined, unit]))),
      ...times(staged.length > 0 ? 12 : 0, () => this.publishStaged(random.pick(staged))),
      ...times(staged.length > 0 ? 1 : 0, () => this.discard(random.pick(staged))),
      ...times(4, () => this.revert(undefined)),
      () => this.revert(random.pick(this.model.snapshots)?.number ?? 7),
      ...times(2, () => this.gc()),
      ...times(2, () => this.verify()),
      () => this.verify('--all'),
      () => this.verify('--repair'),
      ...times(2, () =>
        this.command(['verify', output, '--rescore', '100%'], this.whereOutput(0, 4)),
      ),
      ...times(2, () => this.look()),
      ...times(2, () => this.saveBaseline()),
      ...times(2, () => this.record()),
      ...times(2, () => this.checkFixture()),
      ...times(2, () => this.lose()),
      ...times(2, () => this.damage()),
    ];
  }

  /** Changes a setting, or goes back to the job as it was once: what was made for it may still be in the store. */
  private changeJob(): void {
    const { random, settings, earlier } = this;
    if (earlier.length > 2 && random.next() < 0.3) {
      const { max, gate } = settings;
      this.log.push(`go back to ${JSON.stringify(Object.assign(settings, random.pick(earlier)))}`);
      if (random.next() < 0.5) Object.assign(settings, { max, gate });
      return;
    }
    this.log.push(`set ${changeSettings(settings, random, this.hasBaseline)}`);
    earlier.push({ ...settings });
  }

  /** Runs a command, and checks that it ends with one of some codes and never with a fault of its own. */
  private async command(
    args: readonly string[],
    codes: ReadonlySet<number>,
  ): Promise<CommandResult> {
    const shown = args.join(' ').replaceAll(this.job.folder, '.');
    const result = await scoreline([...args, '--json'], { cwd: this.job.folder });
    this.log.push(`${shown} -> ${result.exit}${result.stderr && `: ${result.stderr.trim()}`}`);
    expect(result.stderr).not.toMatch(FAULT);
    expect([...codes], `exit of: ${shown}`).toContain(result.exit);
    if (result.exit === 0) expect(result.stdout).not.toBe('');
    if (result.exit !== 0) expect(result.stderr + result.stdout, 'a failure says why').not.toBe('');
    if (result.stdout !== '') JSON.parse(result.stdout);
    return result;
  }

  private async run(kind: RunKind): Promise<void> {
    const { model, input, settings, job } = this;
    const expected = model.expectRun(input, settings, kind);
    const lost = this.lostParts(kind);
    const args = ['run', job.jobFile, ...input.selection(kind.only), ...flagsOf(kind)];
    const { exit, stdout } = await this.command(args, expected.codes);
    const report = stdout === '' ? undefined : (JSON.parse(stdout) as RunReport);
    const { publication } = expected;
    if (exit === publication?.exit && report?.outcome !== 'failed') {
      const changed = model.publish(publication, lost);
      const outcomes = changed ? ['published', 'partial'] : ['unchanged', 'partial'];
      expect(outcomes, 'outcome').toContain(report?.outcome);
      expect(report?.snapshot).toBe(model.latest?.number ?? null);
      if (changed) model.collect(model.keepSnapshots);
      model.replaceStaged(publication);
      const all = model.latest?.units.size === publication.units.size;
      if (exit === 0 && all && kind.only === undefined && this.random.next() < 0.25)
        await this.compareFresh();
    } else if (report?.outcome === 'staged' && publication !== undefined) {
      const gates = report.verdict === 'fail';
      const { exit: _exit, ...content } = publication;
      // What an earlier run has staged just so is not staged once more.
      const kept = basename(report.staged ?? '');
      if (kept === report.runId) model.staged.set(kept, { ...content, base: model.latest, gates });
      expect([...model.staged.keys()]).toContain(kept);
      model.replaceStaged(publication, kept);
    } else expect(report?.outcome ?? 'failed').toBe('failed');
  }

  /** Whether the store lacks a part of what a run would publish just as it is published. */
  private lostParts({ only }: RunKind): boolean {
    if (!this.isLossy || this.model.latest === undefined) return false;
    const { units } = manifestOf(this.job);
    return this.model.meant(this.input, only).some((unit) => {
      const now = contentOf(this.input, unit, this.settings)?.identity;
      if (now === undefined || this.model.latest?.units.get(unit)?.identity !== now) return false;
      return units[unit]!.parts.some(
        ({ key }) => !existsSync(join(this.job.output, 'store/parts', key.slice(0, 2), key)),
      );
    });
  }

  /** Scores shards, all of them and in any order, then publishes. */
  private async shards(count: number): Promise<void> {
    const expected = this.model.expectRun(this.input, this.settings, { shard: true });
    for (const i of this.random.shuffled(Array.from({ length: count }, (_, i) => i))) {
      // A share of the tasks: rows that are set aside may be of another.
      const codes = expected.codes.has(3) ? new Set([...expected.codes, 0]) : expected.codes;
      await this.command(
        ['run', this.job.jobFile, ...this.input.selection(undefined), '--shard', `${i}/${count}`],
        codes,
      );
    }
    await this.run({});
  }

  private async plan(hash: boolean, only: string | undefined): Promise<void> {
    const { model, input, settings } = this;
    const meant = model.meant(input, only);
    const refused = refusal(settings);
    const contents = new Map(meant.map((unit) => [unit, contentOf(input, unit, settings)]));
    const bad = [...contents.values()].includes(undefined);
    const code = meant.length === 0 ? 4 : (refused ?? (bad ? 4 : 0));
    const flags = [...(hash ? ['--hash'] : []), ...input.selection(only)];
    const { stdout } = await this.command(['plan', this.job.jobFile, ...flags], new Set([code]));
    if (stdout === '') return;
    const report = JSON.parse(stdout) as PlanReport;
    expect(report.refused.length > 0).toBe(bad);
    expect(report.vanished).toEqual(model.vanished(input, only));
    checkPlan(report, contents, { model, hash });
  }

  private async publishStaged(runId: string): Promise<void> {
    const { model, random } = this;
    const staged = model.staged.get(runId)!;
    const because = random.next() < 0.6;
    const expected = model.expectPublish(staged, because);
    const args = [
      'publish',
      this.job.output,
      runId,
      ...(because ? ['--because', 'it is right'] : []),
    ];
    const { exit } = await this.command(args, expected);
    if (exit !== 0) return;
    model.publish(staged);
    model.staged.delete(runId);
  }

  private async discard(runId: string): Promise<void> {
    await this.command(['discard', this.job.output, runId], new Set([0]));
    this.model.staged.delete(runId);
  }

  private async revert(to: number | undefined): Promise<void> {
    const { model } = this;
    const isThere = existsSync(this.job.output);
    const target = model.latest === undefined ? undefined : model.revertTarget(to);
    const code = target !== undefined ? 0 : model.latest === undefined && isThere ? 4 : 2;
    const flags = to === undefined ? [] : ['--to', String(to)];
    const codes = new Set(isThere ? [code] : [2, 4]);
    await this.command(['revert', this.job.output, ...flags], codes);
    if (target !== undefined) model.revert(target);
  }

  private async gc(): Promise<void> {
    if (this.random.next() < 0.5) this.age();
    const keep = this.random.whole(1, 4);
    await this.command(['gc', this.job.output, '--keep', String(keep)], this.whereOutput(0));
    this.model.collect(keep);
  }

  /** Makes all in the store older than what gc leaves alone. */
  private age(): void {
    const store = join(this.job.output, 'store');
    const old = new Date(Date.now() - 8 * 24 * 3600 * 1000);
    for (const entry of entriesOf(store)) utimesSync(entry, old, old);
    this.log.push('age the store');
  }

  /** The codes of a command that needs an output. */
  private whereOutput(...codes: number[]): Set<number> {
    return new Set(existsSync(this.job.output) ? codes : [2, 4]);
  }

  private async verify(...flags: string[]): Promise<void> {
    const codes = this.hasScars && flags.includes('--all') ? [0, 6] : [0];
    await this.command(['verify', this.job.output, ...flags], this.whereOutput(...codes));
  }

  /** The commands that only look. */
  private async look(): Promise<void> {
    const { job, model, random } = this;
    const hasTwo = model.snapshots.length > 1;
    const looks: [string[], ReadonlySet<number>][] = [
      [
        ['compare', job.output, 'previous', 'latest'],
        hasTwo && !this.isLossy ? new Set([0]) : new Set([0, 2, 4, 6]),
      ],
      [
        ['compare', job.output, 'latest', 'latest'],
        new Set(this.isLossy ? [0, 2, 4, 6] : model.latest ? [0] : [2, 4]),
      ],
      [['report', job.output], new Set([0, 2, 4])],
      [['runs', job.output], this.whereOutput(0)],
      [['runs', job.output, '--html'], this.whereOutput(0)],
      [['current', job.output], new Set(model.latest ? [0] : [2, 4])],
    ];
    for (const [args, codes] of random.shuffled(looks).slice(0, 2)) await this.command(args, codes);
    for (const id of model.staged.keys())
      if (model.latest && random.next() < 0.3)
        await this.command(
          ['compare', job.output, 'latest', id],
          new Set(this.isLossy ? [0, 4, 6] : [0]),
        );
  }

  private async saveBaseline(): Promise<void> {
    const path = join(this.job.folder, 'saved.json');
    const codes = this.model.latest === undefined ? [2, 4] : this.isLossy ? [0, 4, 6] : [0];
    const { exit } = await this.command(
      ['baseline', 'save', this.job.output, path],
      new Set(codes),
    );
    this.hasBaseline ||= exit === 0;
  }

  private async record(): Promise<void> {
    const rows = fixtureRows(this.input, this.settings);
    const code = typeof rows === 'number' ? rows : 0;
    const { exit } = await this.command(
      ['check', this.job.jobFile, '--record', ...this.input.selection(undefined)],
      new Set([code]),
    );
    if (exit === 0 && typeof rows === 'string')
      this.recorded.set(this.settings.name, { rows, kept: JSON.stringify(this.settings.keep) });
  }

  private async checkFixture(): Promise<void> {
    const rows = fixtureRows(this.input, this.settings);
    const recorded = this.recorded.get(this.settings.name);
    const like = recorded?.kept === JSON.stringify(this.settings.keep);
    const equal = rows === recorded?.rows ? [0] : like ? [3] : [0, 2, 3, 4];
    const codes = typeof rows === 'number' ? [rows, 2, 4] : recorded === undefined ? [2, 4] : equal;
    await this.command(['check', this.job.jobFile], new Set(codes));
  }

  /** Takes an entry out of the store, or the cache away, as somebody might who needs space. */
  private async lose(): Promise<void> {
    const store = join(this.job.output, 'store');
    const entries = entriesOf(store);
    if (this.random.next() < 0.3 || entries.length === 0) {
      rmSync(join(this.job.output, 'cache'), { recursive: true, force: true });
      this.log.push('lose cache');
    } else {
      const entry = this.random.pick(entries);
      rmSync(entry, { recursive: true });
      this.isLossy = true;
      this.log.push(`lose ${entry.slice(store.length)}`);
    }
    await this.run({});
  }

  /** Changes a file in the store, as a faulty disk might: it is named, and mended by what `verify` and a run do. */
  private async damage(): Promise<void> {
    const { job, model, input, settings, random } = this;
    const store = join(job.output, 'store');
    const files = entriesOf(store).flatMap((entry) =>
      listFiles(entry).map((name) => join(entry, name)),
    );
    const { publication } = model.expectRun(input, settings, { because: true });
    const isUpToDate =
      publication?.exit === 0 &&
      [...(model.latest?.units ?? [])].every(
        ([unit, { identity }]) => publication.units.get(unit)?.identity === identity,
      );
    const some = files.filter((path) => hasDigest(path) && (isUpToDate || !isLinked(path)));
    if (some.length === 0) return;
    const path = random.pick(some);
    const bytes = readFileSync(path);
    bytes[bytes.length >> 1]! ^= 1;
    chmodSync(path, 0o644);
    writeFileSync(path, bytes);
    this.isLossy = true;
    this.log.push(`damage ${relative(job.output, path)}`);
    if (random.next() < 0.3) await this.command(['verify', job.output, '--all'], new Set([6]));
    const mended = await this.command(['verify', job.output, '--repair'], new Set([0, 6]));
    this.log.push(mended.stdout);
    if (!isLinked(path)) return;
    // Older snapshots keep the file as it is.
    this.hasScars = true;
    await this.run({ because: true });
    if (model.latest?.units.size === publication?.units.size) await this.verify();
  }

  /** The same job in an output of its own gives the same bytes. */
  private async compareFresh(): Promise<void> {
    const output = join(this.job.folder, `fresh-${++this.fresh}`);
    const set = [`output.path=${output}`, 'gates={}', 'quarantine.max=100000', 'canary=false'];
    const flags = set.flatMap((one) => ['--set', one]);
    await this.command(
      ['run', this.job.jobFile, ...this.input.selection(undefined), ...flags],
      new Set([0]),
    );
    expect(bytesOf(join(output, 'current'))).toEqual(bytesOf(join(this.job.output, 'current')));
    rmSync(output, { recursive: true });
  }
}

function flagsOf({ keepGoing, prune, because }: RunKind): string[] {
  return [
    ...(keepGoing ? ['--keep-going'] : []),
    ...(prune ? ['--prune'] : []),
    ...(because ? ['--because', 'it is right'] : []),
  ];
}
