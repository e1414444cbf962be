/** How pages look: one style sheet, for a screen of any width, in light and dark, and for paper. */

/** Colours: of the two sides blue and grey, which the colour-blind tell apart; what is wrong is also said in words. */
export const STYLE = `
:root{color-scheme:light dark;--ink:#1b2330;--soft:#55606f;--line:#d9dee5;--back:#fff;--panel:#f5f7fa;--now:#0b66c3;--now-fill:#0b66c338;
--then:#76808f;--then-fill:#9aa3b059;--pass:#1a6b4f;--warn:#8a5a00;--fail:#b3261e;--down:#b0541a}
@media (prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#a4aebb;--line:#37404d;--back:#12161c;--panel:#1b212a;--now:#6cb2ff;--now-fill:#6cb2ff40;
--then:#a8b1be;--then-fill:#a8b1be40;--pass:#6fd3ac;--warn:#f0c060;--fail:#ff9a90;--down:#f0a467}}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
main,header,footer{max-width:70rem;margin:0 auto;padding:0 1.25rem}
header{padding-top:2rem}
h1{font-size:1.1rem;font-weight:600;margin:0;color:var(--soft)}
h2{font-size:1.25rem;margin:2.75rem 0 .75rem;padding-top:.75rem;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:1.5rem 0 .5rem;overflow-wrap:anywhere}
p{margin:.5rem 0;max-width:46rem}
a{color:var(--now)}
.lead{font-size:1.65rem;line-height:1.3;font-weight:600;margin:.6rem 0;max-width:52rem;overflow-wrap:anywhere}
.soft{color:var(--soft)}
.badge{display:inline-block;border:1.5px solid;border-radius:1rem;padding:0 .7rem;font-size:.9rem;font-weight:600;white-space:nowrap}
.pass{color:var(--pass)}.warn{color:var(--warn)}.fail{color:var(--fail)}.skipped,.none{color:var(--soft)}
.facts{display:flex;flex-wrap:wrap;gap:.25rem 1.75rem;margin:1rem 0;padding:0;list-style:none}
.facts b{font-variant-numeric:tabular-nums}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.92rem}
caption{text-align:left;color:var(--soft);padding-bottom:.4rem}
th,td{text-align:left;padding:.4rem .75rem .4rem 0;border-bottom:1px solid var(--line);vertical-align:middle;overflow-wrap:break-word}
th{font-weight:600;color:var(--soft);font-size:.85rem}
tbody th{color:var(--ink);font-size:inherit;min-width:7rem;max-width:22rem}
table.compact{width:auto;min-width:min(26rem,100%)}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap;overflow-wrap:normal}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(22rem,100%),1fr));gap:1rem}
figure{margin:0;background:var(--panel);border-radius:.5rem;padding:.75rem}
figcaption{font-size:.85rem;color:var(--soft);margin-bottom:.35rem}
svg{display:block;width:100%;height:auto;overflow:visible}
svg.small{width:9rem;min-width:9rem}
svg text{fill:var(--soft);font-size:11px;font-family:inherit}
.then{fill:var(--then-fill);stroke:var(--then);stroke-width:1.25}
.now{fill:var(--now-fill);stroke:var(--now);stroke-width:1.75}
.line{fill:none}
.axis{stroke:var(--line);stroke-width:1}
.task{fill:var(--now-fill);stroke:var(--now)}
.up{fill:var(--now)}.down{fill:var(--down)}.total{fill:var(--then)}svg text.name{fill:var(--ink)}
.dot{fill:var(--back);stroke:var(--now);stroke-width:2}.dot.warn{stroke:var(--warn);fill:var(--warn)}.dot.fail{stroke:var(--fail);fill:var(--fail)}
.limit{stroke:var(--fail);stroke-width:1.5;stroke-dasharray:5 4}
.bar{fill:var(--now)}.bar2{fill:var(--then)}
.key{display:inline-block;width:.85em;height:.85em;border:1.5px solid;vertical-align:-.08em;margin:0 .3em 0 .9em}
.key.a{border-color:var(--then);background:var(--then-fill)}.key.b{border-color:var(--now);background:var(--now-fill)}
dl{display:grid;grid-template-columns:minmax(8rem,max-content) 1fr;gap:.3rem 1rem;font-size:.92rem}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
code{font:.9em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
details{margin:.5rem 0}summary{cursor:pointer;color:var(--now)}
ul.plain{padding-left:1.1rem;margin:.4rem 0}
footer{color:var(--soft);font-size:.85rem;padding-top:2rem;padding-bottom:3rem}
@media (max-width:40rem){.wide table{min-width:38rem}.wide table.many{min-width:50rem}.wide table.compact{min-width:100%}.lead{font-size:1.3rem}dl{grid-template-columns:1fr}dt{margin-top:.4rem}th,td{padding-right:.5rem}svg.small{width:7rem;min-width:7rem}}
@media print{body{font-size:11pt}h2{break-after:avoid}figure,tr{break-inside:avoid}details:not([open])>summary{display:none}a{color:inherit}}
`;
