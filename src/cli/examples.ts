/** The examples that the help of each command ends with. */

/** By the path of a command: command lines, without the program's name. */
export const EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  '': [
    "init model.onnx 'data/**/*.parquet'",
    'run job.yaml',
    'report out/model --open',
    'run --help',
  ],
  init: ["init model.onnx 'data/**/*.parquet' -o jobs/scores.yaml", 'init model.onnx data.csv'],
  run: [
    'run jobs/flights.yaml',
    'run jobs/flights.yaml --date 2013-06-01 --skip-unchanged --quiet',
    'run jobs/daily.yaml --from 2013-06-01 --to 2013-06-30 --publish-passing',
    'run jobs/flights.yaml --shard 0/8',
  ],
  plan: ['plan jobs/flights.yaml', 'plan jobs/flights.yaml --hash --json'],
  score: ["score model.onnx 'data/**/*.parquet' -o out/scores --features day,hour"],
  inspect: ['inspect model.onnx', 'inspect data/month=1/flights.parquet', 'inspect data.csv'],
  current: ['current out/flights'],
  status: ['status out/flights', 'status out/flights --json'],
  runs: [
    'runs out/flights --last 10',
    'runs out/flights --since 2013-06-01 --failed',
    'runs out/flights --html',
  ],
  report: ['report out/flights', 'report out/flights --open'],
  publish: [
    "publish out/flights 20130601T020000.123Z-k3f9 --because 'a strike' --exception",
    "publish out/flights 20130601T020000.123Z-k3f9 --because 'new fares' --new-normal",
  ],
  discard: ["discard out/flights 20130601T020000.123Z-k3f9 --because 'broken delivery'"],
  revert: ["revert out/flights --because 'wrong model'", 'revert out/flights --to 7'],
  verify: ['verify out/flights --all', 'verify out/flights --rescore 1%'],
  check: [
    'check jobs/flights.yaml --record --tolerance score=relative:1e-6',
    'check jobs/flights.yaml --junit out.xml --format github',
    'check jobs/flights.yaml --model candidate.onnx --variants',
  ],
  compare: [
    'compare out/flights',
    'compare out/flights 7 latest',
    'compare out/flights --baseline month=1 --current month=7',
  ],
  baseline: ['baseline save out/flights baseline.json', 'baseline save --help'],
  'baseline save': ['baseline save out/flights baseline.json'],
  'baseline from': ['baseline from training.parquet -o training.json --job jobs/flights.yaml'],
  gc: ['gc out/flights --dry-run'],
  doctor: ['doctor'],
  schema: ['schema > job.schema.json'],
  'explain-exit': ['explain-exit 6'],
  completion: ['completion bash > ~/.local/share/bash-completion/completions/scoreline'],
};
