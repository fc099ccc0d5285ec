// One session of toxiproxy-node-client against the API given: creates, changes and removes proxies and toxics.
// Prints what the client saw as one JSON document.
const { Toxiproxy } = require("toxiproxy-node-client");

async function main(api, link, upstream) {
  const toxiproxy = new Toxiproxy(api);
  const seen = { version: await toxiproxy.getVersion() };

  seen.names = Object.keys(await toxiproxy.getAll()).sort();
  const proxy = await toxiproxy.get(link);
  seen.link = proxy.toJson();
  const toxic = await proxy.addToxic({
    name: "slow", type: "latency", stream: "upstream", toxicity: 1, attributes: { latency: 120, jitter: 0 },
  });
  seen.added = toxic.toJson();
  seen.changed = (await toxic.update({ toxicity: 0.5, attributes: { latency: 30 } })).toJson();
  seen.read = (await proxy.getToxic("slow")).toJson();
  await toxic.remove();
  seen.removed = await proxy.getToxic("slow").then(() => "found", (error) => error.message);

  const own = await toxiproxy.createProxy({ name: "own", listen: "127.0.0.1:0", upstream });
  seen.own = own.toJson();
  seen.disabled = (await own.update({ enabled: false, listen: own.listen, upstream })).enabled;
  const populated = await toxiproxy.populate([{ name: "second", listen: "127.0.0.1:0", upstream, enabled: true }]);
  seen.populated = Object.keys(populated);
  await toxiproxy.reset();
  seen.enabledAgain = (await toxiproxy.get("own")).enabled;
  await own.remove();
  await populated.second.remove();
  seen.gone = await toxiproxy.get("own").then(() => "found", (error) => error.message);
  return seen;
}

main(...process.argv.slice(2)).then(
  (seen) => console.log(JSON.stringify(seen)),
  (error) => { console.error(error); process.exit(1); },
);
