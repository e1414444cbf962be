/** A Slurm cluster of one node, with its daemons, on this machine. Only root can start one. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeFolder } from '../scoreline.js';

/** How long the daemons have to find each other. */
const START_MS = 60_000;

/** A cluster that takes jobs. */
export interface Cluster {
  /** What its commands, such as `sbatch`, need in their environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Waits until every job has ended, and gives the state that each ended with, by its id; those of an array as 1_0. */
  ended(): Promise<Record<string, string>>;
  stop(): Promise<void>;
}

/** Starts one, whose node says that it has so many cores. */
export async function startCluster(cpus: number): Promise<Cluster> {
  const folder = makeFolder();
  for (const name of ['state', 'spool']) mkdirSync(join(folder, name));
  const config = join(folder, 'slurm.conf');
  const socket = join(folder, 'munge.socket');
  const [node] = hostname().split('.');
  const settings = {
    ClusterName: 'one',
    SlurmctldHost: `${node}(127.0.0.1)`,
    SlurmUser: 'root',
    SlurmctldPort: await freePort(),
    SlurmdPort: await freePort(),
    AuthInfo: `socket=${socket}`,
    StateSaveLocation: join(folder, 'state'),
    SlurmdSpoolDir: join(folder, 'spool'),
    SlurmctldPidFile: join(folder, 'slurmctld.pid'),
    SlurmdPidFile: join(folder, 'slurmd.pid'),
    // A container may have no control groups to give away.
    ProctrackType: 'proctrack/linuxproc',
    TaskPlugin: 'task/none',
    JobAcctGatherType: 'jobacct_gather/none',
    MpiDefault: 'none',
    SelectType: 'select/cons_tres',
    SelectTypeParameters: 'CR_Core',
    SlurmdParameters: 'config_overrides',
    SchedulerParameters: 'batch_sched_delay=0,sched_min_interval=0',
    ReturnToService: 2,
  };
  writeFileSync(
    config,
    [
      ...Object.entries(settings).map(([key, value]) => `${key}=${value}`),
      `NodeName=${node} NodeAddr=127.0.0.1 CPUs=${cpus} State=UNKNOWN`,
      'PartitionName=all Nodes=ALL Default=YES State=UP\n',
    ].join('\n'),
  );
  const key = join(folder, 'munge.key');
  writeFileSync(key, randomBytes(128), { mode: 0o600 });

  const env = { SLURM_CONF: config };
  const daemons: ChildProcess[] = [];
  let log = '';
  const daemon = (program: string, ...args: string[]): void => {
    const child = spawn(program, args, {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        log += text;
      });
    child.on('error', (error) => {
      log += `${program}: ${error.message}\n`;
    });
    daemons.push(child);
  };
  const control = (program: string, ...args: string[]): string =>
    execFileSync(program, args, {
      encoding: 'utf8',
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 20_000,
    });
  const waitFor = async (program: string, args: string[], what: RegExp): Promise<void> => {
    for (const started = Date.now(); ; ) {
      try {
        if (what.test(control(program, ...args))) return;
      } catch {
        // Nobody answers yet.
      }
      if (Date.now() - started > START_MS) throw new Error(`no cluster: ${log.slice(-4000)}`);
      await sleep(100);
    }
  };
  const stop = async (): Promise<void> => {
    for (const child of daemons.toReversed()) {
      if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) continue;
      const end = once(child, 'exit');
      child.kill();
      await end;
    }
  };

  try {
    const files = ['pid', 'log', 'seed'].map((name) => `--${name}-file=${join(folder, name)}`);
    daemon(
      'munged',
      ...['--force', '--foreground', `--key-file=${key}`, `--socket=${socket}`, ...files],
    );
    await waitFor('munge', ['--no-input', `--socket=${socket}`], /^MUNGE:/);
    daemon('slurmctld', '-D', '-c', '-f', config);
    daemon('slurmd', '-D', '-f', config, '-N', node ?? '');
    await waitFor('sinfo', ['--noheader', '--format=%T'], /^idle$/m);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    env,
    ended: async () => {
      while (control('squeue', '--noheader') !== '') await sleep(200);
      const jobs = control('scontrol', '--oneliner', 'show', 'job').matchAll(
        /^JobId=(\d+)(?: ArrayJobId=(\d+) ArrayTaskId=(\S+))? .*? JobState=(\w+)/gm,
      );
      return Object.fromEntries(
        [...jobs].map(([, id, array, task, state]) => [
          array === undefined ? id : `${array}_${task}`,
          state,
        ]),
      );
    },
    stop,
  };
}

/** A port that nobody listens at. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port is free');
  return address.port;
}
