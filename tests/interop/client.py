"""A program with Eclipse Paho as somebody else would write it. It prints one JSON line for each step.

The argument is JSON: port, transport ("tcp" or "websockets"), ca (a file, or null without TLS), version ("3.1.1" or
"5"), name (the stem of the AE-IDs) and phase: "story", or "return" to come back to the session of the story.
"""

import json
import queue
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

SECONDS = 60
setup = json.loads(sys.argv[1])
is_5 = setup["version"] == "5"
sensor, listener = setup["name"], setup["name"] + "L"
connected, subscribed, answers, questions = (queue.Queue() for _ in range(4))


def report(step, **what):
    print(json.dumps({"step": step, **what}), flush=True)


def on_message(client, data, message):
    primitive = json.loads(message.payload)
    (questions if "/oneM2M/req/" in message.topic else answers).put((message.topic, primitive))


def connect():
    arguments = {"transport": setup["transport"], "client_id": "A::" + sensor}
    if is_5:
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5, **arguments)
    else:
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, clean_session=False, **arguments)
    if setup["transport"] == "websockets":
        client.ws_set_options(path="/mqtt")
    if setup["ca"]:
        client.tls_set(ca_certs=setup["ca"])
    client.on_connect = lambda c, data, flags, reason, properties: connected.put((reason, flags.session_present))
    client.on_subscribe = lambda c, data, mid, reasons, properties: subscribed.put([reason.value for reason in reasons])
    client.on_message = on_message
    more = {}
    if is_5:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 300
        more = {"clean_start": False, "properties": properties}
    client.connect("localhost", setup["port"], **more)
    client.loop_start()
    reason, session_present = connected.get(timeout=SECONDS)
    assert not reason.is_failure, reason
    report("connect", session=session_present)
    return client


def publish(topic, payload):
    client.publish(topic, payload, qos=1).wait_for_publish(SECONDS)


def send(identifier, originator=sensor, **request):
    request = {"fr": originator, "rqi": identifier, "rvi": "3", **request}
    # Without waiting: the CSE acknowledges a request when it answers it, which may take other messages before.
    client.publish(f"/oneM2M/req/{originator}/id-in/json", json.dumps(request), qos=1)


def answer_to(step):
    topic, answer = answers.get(timeout=SECONDS)
    report(step, topic=topic, answer=answer)


def ask(identifier, **request):
    send(identifier, **request)
    answer_to(identifier)


def take_question(step, status):
    topic, question = questions.get(timeout=SECONDS)
    report(step, topic=topic, question=question)
    response = {"rsc": status, "rqi": question["rqi"], "rvi": "3"}
    publish(topic.replace("/req/", "/resp/"), json.dumps(response))


def leave():
    client.disconnect()
    client.loop_stop()


client = connect()
if setup["phase"] == "return":
    take_question("notified late", 2000)
    leave()
    sys.exit()

client.subscribe([(f"/oneM2M/resp/{sensor}/id-in/#", 1), (f"/oneM2M/resp/{listener}/id-in/#", 1),
                  (f"/oneM2M/req/+/{listener}/#", 1)])
report("subscribe", granted=subscribed.get(timeout=SECONDS))
for originator in (sensor, listener):
    ae = {"rn": originator, "api": "Nclient.example", "rr": True, "srv": ["3"]}
    ask("register " + originator, originator=originator, op=1, to="cse-in", ty=2, pc={"m2m:ae": ae})
log = f"cse-in/{sensor}/log"
# Some kilobytes, so that it takes more than one segment or frame.
ask("container", op=1, to=f"cse-in/{sensor}", ty=3,
    pc={"m2m:cnt": {"rn": "log", "lbl": [letter * 1000 for letter in "abcdefghi"]}})
ask("again", op=1, to=f"cse-in/{sensor}", ty=3, pc={"m2m:cnt": {"rn": "log"}})
ask("instance", op=1, to=log, ty=4, pc={"m2m:cin": {"con": "21.5 °C"}})
ask("read", op=2, to=log + "/la")
ask("missing", op=2, to=log + "/nothing")
ask("spoof", op=2, to="cse-in", fr="CAdmin")
publish(f"/oneM2M/req/{sensor}/id-in/json", '{"rqi": "broken", ')
answer_to("broken")
subscription = {"m2m:sub": {"rn": "s", "nu": ["/id-in/" + listener], "enc": {"net": [3]}, "nct": 1}}
for consent, status in (("refused", 4103), ("granted", 2000)):
    send(consent, op=1, to=log, ty=23, pc=subscription)
    take_question("asked, " + consent, status)
    answer_to(consent)
ask("trigger", op=1, to=log, ty=4, pc={"m2m:cin": {"con": "22"}})
take_question("notified", 2000)
leave()
