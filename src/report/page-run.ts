/** What a page says of the run itself: where the time went, and with what it was done. */
import { shown } from '../base/errors.js';
import { grouped } from '../base/grouped.js';
import { type TaskSpan, timelineChart } from './charts.js';
import { type Content, type Html, html } from './html.js';
import { plural, type RunReport } from './report.js';
import { durationText, percentText } from './words.js';

/** A task that a run scored, as its log tells of it. */
export interface TaskEvent {
  readonly task: string;
  readonly rows: number;
  /** When it ended, in ms since the run began, and how long a worker worked on it. */
  readonly endedMs: number;
  readonly workedMs: number;
}

/** More are not drawn one by one. */
const TASKS_DRAWN = 2000;

/** What the run spent its time on, who worked when, and what would make it faster. */
export function timeSection({
  run,
  tasks,
}: {
  readonly run: RunReport;
  readonly tasks: readonly TaskEvent[];
}): Html {
  const { times } = run;
  const { read, prepare, infer, write } = times;
  const work = read + prepare + infer + write;
  const rate = run.rowsThisRun / (times.wall / 1000);
  const stages = { read, prepare, infer, write };
  const rows = Object.entries(stages).map(
    ([stage, ms]) =>
      html`<tr><th scope="row">${stage}</th><td class="n">${durationText(ms)}</td><td class="n">${work === 0 ? '–' : percentText(ms / work)}</td></tr>`,
  );
  const spans = spansOf(tasks.slice(-TASKS_DRAWN), run.workers);
  const chart =
    spans.length > 0 &&
    html`<figure><figcaption>Tasks, by worker${tasks.length > TASKS_DRAWN && ` (the last ${TASKS_DRAWN} of ${tasks.length})`}</figcaption>${timelineChart(spans)}</figure>`;
  return html`<section><h2>Time</h2><p>${durationText(times.wall)} in all${run.rowsThisRun > 0 && `, ${grouped(Math.round(rate))} rows a second`}: ${durationText(times.describe)} to describe the input, ${durationText(times.judge)} to judge, ${durationText(times.publish)} to publish.${bottleneckOf(run, work)}</p>${work > 0 && html`<div class="wide" tabindex="0"><table class="compact"><caption>What ${run.workers} ${run.workers === 1 ? 'worker' : 'workers'} spent their time on</caption><thead><tr><th scope="col">stage</th><th scope="col" class="n">time, all workers</th><th scope="col" class="n">share</th></tr></thead><tbody>${rows}</tbody></table></div>`}${chart}</section>`;
}

/** What to look at next, in a sentence; nothing of a run that took no time. */
function bottleneckOf({ times, workers, engine }: RunReport, work: number): Content {
  if (work < 100) return undefined;
  const idle = times.wall * workers - work;
  if (idle > work)
    return ' Most of the time no worker had a task: the run is short, or its tasks are few.';
  const stages = {
    read: times.read,
    prepare: times.prepare,
    infer: times.infer,
    write: times.write,
  };
  const [stage] = Object.entries(stages).sort(([, a], [, b]) => b - a)[0]!;
  const why = {
    read: 'reading takes most: fewer or narrower columns, row groups of about 100,000 rows, or faster storage would help',
    prepare: 'preparing takes most: columns of the types that the model takes need no casts',
    infer:
      engine?.engine === 'trees'
        ? 'the model takes most, though it runs in the engine for trees: more cores would help'
        : 'the model takes most: more cores, or a device, would help',
    write: 'writing takes most: fewer kept columns, or a faster compression, would help',
  }[stage as 'read'];
  return ` Next bottleneck: ${why}.`;
}

/** Puts tasks into lanes, one for each worker: a task begins in the lane that was free first. */
function spansOf(tasks: readonly TaskEvent[], workers: number): TaskSpan[] {
  const free = new Array<number>(Math.max(1, workers)).fill(Number.NEGATIVE_INFINITY);
  const begin = (task: TaskEvent): number => Math.max(0, task.endedMs - task.workedMs);
  return tasks
    .toSorted((a, b) => begin(a) - begin(b))
    .map((task) => {
      const start = begin(task);
      const open = free.findIndex((end) => end <= start);
      // Times are of two clocks: where tasks seem to overlap, the lane that is free next is it.
      const lane = open >= 0 ? open : free.indexOf(Math.min(...free));
      free[lane] = task.endedMs;
      const { task: name, rows, endedMs } = task;
      return { task: shown(name, 80), rows, lane, start: start / 1000, end: endedMs / 1000 };
    });
}

/** With what it was done, so that it can be done again. */
export function provenanceSection({
  receipt,
  device,
  engine,
  manifest,
  job,
  path,
  peakBytes,
  notes,
  overrides,
}: RunReport): Html {
  const { versions } = receipt;
  const facts: readonly (readonly [string, Content])[] = [
    ['job', html`${shown(job, 100)}, <code>${receipt.job}</code>`],
    [
      'model',
      receipt.model === null
        ? undefined
        : receipt.model.map((digest) => html`<code>${digest}</code> `),
    ],
    [
      'input',
      receipt.inputs === null
        ? undefined
        : html`${plural(receipt.inputs.files, 'file')} below <code>${shown(receipt.inputs.root, 200)}</code>, <code>${receipt.inputs.sha256}</code>`,
    ],
    ['manifest', manifest === null ? undefined : html`<code>${manifest}</code>`],
    ['published at', path === null ? undefined : html`<code>${shown(path, 300)}</code>`],
    ['device', shown(device, 40)],
    ['engine', engine === null ? undefined : `${engine.engine} (${shown(engine.why, 300)})`],
    [
      'versions',
      Object.entries(versions)
        .filter(([, version]) => version !== null)
        .map(([name, version]) => `${name} ${version}`)
        .join(', '),
    ],
    [
      'host',
      `${shown(receipt.host, 100)}${receipt.user === null ? '' : `, as ${shown(receipt.user, 60)}`}`,
    ],
    ['started, ended', `${receipt.started}, ${receipt.ended}`],
    ['memory', `${grouped(Math.round(peakBytes / 2 ** 20))} MiB at most, all processes`],
  ];
  const list = (what: string, lines: readonly string[]): Content =>
    lines.length > 0 &&
    html`<h3>${what}</h3><ul class="plain">${lines.slice(0, 50).map((line) => html`<li>${shown(line, 500)}</li>`)}</ul>`;
  return html`<section><h2>Provenance</h2><dl>${facts.map(([name, value]) => value !== undefined && value !== '' && html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>${list('Notes', notes)}${list('Overridden', overrides)}</section>`;
}
