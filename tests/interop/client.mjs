// The program of client.py, with MQTT.js. The package is looked for where NODE_PATH says.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const mqtt = createRequire(import.meta.url)("mqtt");

const MILLISECONDS = 60_000;
const setup = JSON.parse(process.argv[2]);
const is5 = setup.version === "5";
const [sensor, listener] = [setup.name, setup.name + "L"];

function report(step, what) {
  console.log(JSON.stringify({ step, ...what }));
}

// Fails instead of waiting for ever.
function inTime(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`did not come: ${what}`)), MILLISECONDS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

class Queue {
  #items = [];
  #takers = [];

  put(item) {
    const taker = this.#takers.shift();
    if (taker) taker(item);
    else this.#items.push(item);
  }

  take(what) {
    if (this.#items.length > 0) return Promise.resolve(this.#items.shift());
    return inTime(what, new Promise((resolve) => this.#takers.push(resolve)));
  }
}

const [answers, questions] = [new Queue(), new Queue()];

const scheme = { tcp: ["mqtt", "mqtts"], websockets: ["ws", "wss"] }[setup.transport][setup.ca ? 1 : 0];
const client = mqtt.connect(`${scheme}://localhost:${setup.port}/mqtt`, {
  clientId: "A::" + sensor,
  protocolVersion: is5 ? 5 : 4,
  clean: false,
  properties: is5 ? { sessionExpiryInterval: 300 } : undefined,
  ca: setup.ca ? readFileSync(setup.ca) : undefined,
  reconnectPeriod: 0,
});
client.on("message", (topic, payload) => {
  const queue = topic.includes("/oneM2M/req/") ? questions : answers;
  queue.put([topic, JSON.parse(payload)]);
});
const connack = await inTime("CONNACK", new Promise((resolve, reject) => {
  client.on("connect", resolve);
  client.on("error", reject);
  client.on("close", () => reject(new Error("the connection was closed")));
}));
report("connect", { session: connack.sessionPresent });

const published = [];
const publish = (topic, payload) => inTime("PUBACK", client.publishAsync(topic, payload, { qos: 1 }));

// Without waiting: the CSE acknowledges a request when it answers it, which may take other messages before.
function send(identifier, { originator = sensor, ...request }) {
  const whole = { fr: originator, rqi: identifier, rvi: "3", ...request };
  published.push(publish(`/oneM2M/req/${originator}/id-in/json`, JSON.stringify(whole)));
}

async function answerTo(step) {
  const [topic, answer] = await answers.take(`the answer to '${step}'`);
  report(step, { topic, answer });
}

async function ask(identifier, request) {
  send(identifier, request);
  await answerTo(identifier);
}

async function takeQuestion(step, status) {
  const [topic, question] = await questions.take(`the question '${step}'`);
  report(step, { topic, question });
  await publish(topic.replace("/req/", "/resp/"), JSON.stringify({ rsc: status, rqi: question.rqi, rvi: "3" }));
}

async function story() {
  const filters = [`/oneM2M/resp/${sensor}/id-in/#`, `/oneM2M/resp/${listener}/id-in/#`, `/oneM2M/req/+/${listener}/#`];
  const granted = await inTime("SUBACK", client.subscribeAsync(filters, { qos: 1 }));
  report("subscribe", { granted: granted.map((subscription) => subscription.qos) });
  for (const originator of [sensor, listener]) {
    const ae = { rn: originator, api: "Nclient.example", rr: true, srv: ["3"] };
    await ask("register " + originator, { originator, op: 1, to: "cse-in", ty: 2, pc: { "m2m:ae": ae } });
  }
  const log = `cse-in/${sensor}/log`;
  const labels = [..."abcdefghi"].map((letter) => letter.repeat(1000));
  await ask("container", { op: 1, to: `cse-in/${sensor}`, ty: 3, pc: { "m2m:cnt": { rn: "log", lbl: labels } } });
  await ask("again", { op: 1, to: `cse-in/${sensor}`, ty: 3, pc: { "m2m:cnt": { rn: "log" } } });
  await ask("instance", { op: 1, to: log, ty: 4, pc: { "m2m:cin": { con: "21.5 °C" } } });
  await ask("read", { op: 2, to: log + "/la" });
  await ask("missing", { op: 2, to: log + "/nothing" });
  await ask("spoof", { op: 2, to: "cse-in", fr: "CAdmin" });
  await publish(`/oneM2M/req/${sensor}/id-in/json`, '{"rqi": "broken", ');
  await answerTo("broken");
  const subscription = { "m2m:sub": { rn: "s", nu: ["/id-in/" + listener], enc: { net: [3] }, nct: 1 } };
  for (const [consent, status] of [["refused", 4103], ["granted", 2000]]) {
    send(consent, { op: 1, to: log, ty: 23, pc: subscription });
    await takeQuestion("asked, " + consent, status);
    await answerTo(consent);
  }
  await ask("trigger", { op: 1, to: log, ty: 4, pc: { "m2m:cin": { con: "22" } } });
  await takeQuestion("notified", 2000);
}

if (setup.phase === "return") await takeQuestion("notified late", 2000);
else await story();
await Promise.all(published);
await inTime("the end", client.endAsync());
