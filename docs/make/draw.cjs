// Lay graphs out with Graphviz: an object of DOT texts comes in, an object of SVG texts goes out.
const { instance } = require(`${process.argv[2]}/node_modules/@viz-js/viz`);
const { readFileSync } = require("node:fs");

instance().then((graphviz) => {
  const graphs = Object.entries(JSON.parse(readFileSync(0, "utf8")));
  const drawn = graphs.map(([name, dot]) => [name, graphviz.renderString(dot, { format: "svg" })]);
  process.stdout.write(JSON.stringify(Object.fromEntries(drawn)));
});
