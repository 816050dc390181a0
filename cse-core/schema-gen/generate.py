#!/usr/bin/env python3
"""Writes the resource type tables of cse-core from the protocol data.

Run by hand, from anywhere, after a change of the data; review and commit the result:

    python3 cse-core/schema-gen/generate.py [DIRECTORY]

DIRECTORY holds resource-types.json, attributes.json, complex-types.json, enumerations.json, flexcontainers.json and
primitives.json; without it, `../shared/onem2m` beside the repository is read. Needs `rustfmt` and nothing else. The
output replaces enums.rs, complex.rs, keys.rs, tables.rs, tables/, flex.rs and flex/ under cse-core/src/schema.

What is decided here and not in the data:

- AREAS: which table is in which file.
- IMPLEMENTED: the types of which this CSE has the behaviour.
- KINDS: the value kind of each simple data type.
- The order of rows: the common attributes as XML wants them, then the others as in the data.
- Doubt means acceptance: attributes of Release 4 in older types are never mandatory, complex types and enumerations
  known from one source only are open.
"""

import json
import pathlib
import re
import subprocess
import sys

CRATE = pathlib.Path(__file__).resolve().parent.parent
OUT = CRATE / "src" / "schema"

IMPLEMENTED = {1, 2, 3, 4, 5, 9, 15, 16, 23}

AREAS = {
    "registration": ("Registration: the CSE, its applications and its neighbours.", ["cb", "ae", "csr"]),
    "data": ("Application data: containers, time series and their instances.", ["cnt", "cin", "flexContainer", "fci", "ts", "tsi"]),
    "access": ("Access control and dynamic authorization.", ["acp", "dac", "auds", "aupy", "auif", "rol", "tk"]),
    "subscription": ("Subscriptions and the policies of their notification targets.", ["sub", "crs", "ntpr", "ntp", "pdr"]),
    "group": ("Groups.", ["grp", "lmg"]),
    "service": ("Service subscription, statistics and contact lists.", ["mssp", "svsn", "asar", "stcl", "stcg", "evcg", "alst", "alpc"]),
    "delivery": ("Requests, delivery, schedules and reachability.", ["req", "dlv", "pch", "sch", "lcp", "bdt", "tgr", "mms"]),
    "semantic": ("Semantics.", ["smd", "ontr", "ont", "smjp", "smi", "smr"]),
    "process": ("Transactions, processes and actions.", ["tram", "trac", "prmr", "stte", "actr", "depr", "prp", "tsb"]),
    "management": ("Nodes and device management.", ["nod", "mgmtObj", "mgc", "exin"]),
}

# Specializations of <mgmtObj>, by file.
MANAGEMENT = {
    "device": ("Specializations of `<mgmtObj>`: devices.", range(1001, 1011)),
    "cmdh": ("Specializations of `<mgmtObj>`: policies for message and delivery handling.", range(1011, 1020)),
    "field_device": ("Specializations of `<mgmtObj>`: configuration of field devices (TS-0022).", range(1020, 1040)),
}

# Tables of these types have another name in attributes.json.
TABLE_OF = {"mgmtObj": "mgo", "flexContainer": "fcnt"}

# TS-0004 §8.3: elements stand in the order of the schema, which begins with these.
ORDER = ["rn", "ty", "ri", "pi", "ct", "lt", "lbl", "acpi", "et", "lnk", "daci", "at", "aa", "st", "cr"]

VIRTUALS = {
    "la": "Latest",
    "ol": "Oldest",
    "fopt": "FanOutPoint",
    "sfop": "SemanticFanOutPoint",
    "pcu": "PollingChannelUri",
    "ntsr": "NotificationTargetSelfReference",
    "smv": "SemanticValidation",
    "msp": "Mashup",
}

NON_NEGATIVE = "UInt { min: 0 }"
POSITIVE = "UInt { min: 1 }"
ANY_INTEGER = "Int { min: i64::MIN, max: i64::MAX }"

# Simple data types: kind, and whether the type itself is a list.
KINDS = {
    "m2m:timestamp": ("Timestamp", False),
    "timestamp": ("Timestamp", False),
    "m2m:absRelTimestamp": ("AbsRelTimestamp", False),
    "m2m:missingDataList": ("AbsRelTimestamp", True),
    "xs:duration": ("Duration", False),
    "m2m:scheduleEntry": ("ScheduleEntry", False),
    "m2m:ID": ("Id", False),
    "ID": ("Id", False),
    "SPID": ("Id", False),
    "CSEID": ("Id", False),
    "m2m:nodeID": ("Id", False),
    "m2m:deviceID": ("Id", False),
    "m2m:externalID": ("Id", False),
    "m2m:triggerRecipientID": ("Id", False),
    "m2m:locationTargetID": ("Id", False),
    "m2m:requestID": ("Id", False),
    "m2m:roleID": ("Id", False),
    "m2m:tokenID": ("Id", False),
    "m2m:listOfM2MID": ("Id", True),
    "m2m:nhURI": ("Id", False),
    "xs:anyURI": ("Uri", False),
    "anyURI": ("Uri", False),
    "anyuri": ("Uri", False),
    "m2m:acpType": ("Uri", True),
    "m2m:listOfURIs": ("Uri", True),
    "m2m:poaList": ("Uri", True),
    "m2m:protocolList": ("Uri", True),
    "m2m:resourceName": ("ResourceName", False),
    "xs:NCName": ("NcName", False),
    "ncname": ("NcName", False),
    "m2m:attributeList": ("NcName", True),
    "xs:token": ("Token", False),
    "m2m:labels": ("Token", True),
    "m2m:serializations": ("Serialization", True),
    "m2m:supportedReleaseVersions": ("ReleaseVersion", True),
    "m2m:releaseVersion": ("ReleaseVersion", False),
    "m2m:contentInfo": ("ContentInfo", False),
    "m2m:eventCat": ("EventCategory", False),
    # 0 stands for the default category.
    "m2m:eventCatWithDef": ("Int { min: 0, max: 999 }", False),
    "m2m:countryCode": ("CountryCode", False),
    "m2m:ipv4": ("Ipv4", False),
    "m2m:ipv6": ("Ipv6", False),
    "m2m:specializationType": ("SpecializationType", False),
    "m2m:resourceTypeList": ("m2m:resourceType", True),
    "m2m:stdEventCats": ("EventCategory", False),
    "xs:boolean": ("Bool", False),
    "boolean": ("Bool", False),
    "xs:nonNegativeInteger": (NON_NEGATIVE, False),
    "nonNegInteger": (NON_NEGATIVE, False),
    "xs:unsignedLong": (NON_NEGATIVE, False),
    "xs:unsignedInt": ("Int { min: 0, max: u32::MAX as i64 }", False),
    "xs:positiveInteger": (POSITIVE, False),
    "xs:integer": (ANY_INTEGER, False),
    "xs:long": (ANY_INTEGER, False),
    "integer": (ANY_INTEGER, False),
    "m2m:listOfMinMax": (ANY_INTEGER, True),
    "xs:float": ("Float", False),
    "xs:double": ("Float", False),
    "float": ("Float", False),
    "xs:base64Binary": ("Base64", False),
    "xs:string": ("Text", False),
    "string": ("Text", False),
    "imsi": ("Text", False),
    "iccid": ("Text", False),
    "m2m:sparql": ("Text", False),
    "m2m:TMGI": ("Text", False),
    "m2m:typeOfContent": ("Text", False),
    "m2m:dynAuthJWT": ("Text", False),
    "m2m:e2eCompactJWE": ("Text", False),
    "m2m:sessionDescription": ("Text", False),
    "dateTime": ("Text", False),
    "date": ("Text", False),
    "time": ("Text", False),
    "m2m:primitiveContent": ("Object", False),
    "m2m:representation": ("Object", False),
    "requestPrimitive": ("Object", False),
    "m2m:requestPrimitive": ("Object", False),
    "responsePrimitive": ("Object", False),
    "See Table 6.4.2-1 for detail": ("Object", False),
    "object": ("Object", False),
    "xs:anyType": ("Any", False),
    "xs:anySimpleType": ("Any", False),
    "any": ("Any", False),
    # The form of these is not certain; whatever comes is taken.
    "m2m:signatureList": ("Any", False),
    "m2m:sessionCapabilities": ("Any", False),
    "m2m:activityPatternElements": ("Any", False),
    "GeoJSON coordinates": ("Any", False),
    "geoJsonCoordinate": ("Any", False),
    "(undefined in R3 tables)": ("Any", False),
    "list": ("Any", True),
    "listNE": ("Any", True),
}

# Variants of `Kind` that rows may name.
KIND_NAMES = sorted({re.match(r"\w+", k)[0] for k, _ in KINDS.values() if not k.startswith("m2m:")} | {"Enum", "Complex"})

# What table files use of definition.rs.
DEFINITIONS = ["AnnouncedDef", "ChildLimit", "Specialization", "SpecializationDef", "TypeDef", "Virtual", "attr"]

PRESENCES = {"M": "Mandatory", "NP": "NotPermitted", "O": "Optional"}

# Names that differ between the tables of the data.
SAME_TYPE = {
    "m2m:deliveryMetaData": "m2m:deliveryMetadata",
    "m2m:softwareUpdateType": "m2m:softwareUpdateArgsType",
    "m2m:operationMonitor.operations": "m2m:accessControlOperations",
}

# Complex types with a list inside: cardinality "(L)" of the attribute speaks of that list, not of the attribute.
NOT_WRAPPERS = {"m2m:mgmtLinkRef"}

# A single address in the data type, although the cardinality says "(L)".
SINGLE = {("sub", "nfu")}

# Complex types of primitives and notifications; those of attributes are found from the attributes.
PRIMITIVE_TYPES = [
    "m2m:notification",
    "m2m:aggregatedNotification",
    "m2m:aggregatedResponse",
    "m2m:filterCriteria",
    "m2m:responseTypeInfo",
    "m2m:attribute",
    "m2m:childResourceRef",
    "m2m:listOfChildResourceRef",
    "m2m:metaInformation",
    "m2m:operationResult",
]

BIT_MASKS = {"m2m:accessControlOperations", "m2m:primitiveProfileApplicability"}

GENERATED = "//! Written by `schema-gen/generate.py`."


def load(directory, name):
    return json.loads((directory / f"{name}.json").read_text(encoding="utf-8"))


def scream(name):
    """The name of a constant: maxNrOfInstances -> MAX_NR_OF_INSTANCES."""
    name = re.sub(r"\W+", "_", name.split(":")[-1])
    name = name.replace("M2M", "M2m").replace("E2E", "E2e")
    name = re.sub(r"(ID|URI|CSE)s\b", lambda m: m[1].capitalize() + "s", name)
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return name.upper().strip("_")


def text(value):
    return json.dumps(value, ensure_ascii=False)


class Generator:
    def __init__(self, directory):
        self.resource_types = load(directory, "resource-types")
        self.attributes = load(directory, "attributes")["types"]
        self.complex = load(directory, "complex-types")["types"]
        self.enums = load(directory, "enumerations")["enums"]
        self.flex = load(directory, "flexcontainers")["specializations"]
        self.types = {t["sn"]: t for t in self.resource_types["types"]}
        self.numbers = {t["sn"]: t["ty"] for t in self.resource_types["types"]}
        self.numbers["fcnt"] = 28
        self.by_number = {t["ty"]: t for t in self.resource_types["types"]}
        self.used_enums = set()
        self.used_complex = []
        self.any_attributes = []

    # === kinds ===

    def kind(self, data_type):
        """The kind and whether it is a list, of a data type as the data writes it."""
        data_type = data_type.replace("(check)", "").strip()
        data_type = SAME_TYPE.get(data_type, data_type)
        inner = re.fullmatch(r"[Ll]ist of (?:3 )?(.+)", data_type)
        if inner:
            return self.kind(inner[1])[0], True
        data_type = re.sub(r" \(list of .*\)$", "", data_type)
        if data_type == "enum":
            data_type = "m2m:resourceType"
        if data_type in KINDS:
            kind, many = KINDS[data_type]
            return (self.kind(kind)[0] if kind.startswith("m2m:") else kind), many
        if data_type in self.enums:
            self.used_enums.add(data_type)
            return f"Enum(&enums::{scream(data_type)})", False
        if data_type in self.complex:
            if data_type not in self.used_complex:
                self.used_complex.append(data_type)
            return f"Complex(&complex::{scream(data_type)})", False
        raise SystemExit(f"no kind for data type {data_type!r}")

    # === attributes ===

    def row(self, table, attribute, type_release, custom=False):
        key, mult = attribute["sn"], attribute.get("mult")
        kind, many = self.kind(attribute["type"])
        data_type = attribute["type"]
        if mult and "(L" in mult and (table, key) not in SINGLE:
            if not kind.startswith("Complex") or data_type in NOT_WRAPPERS:
                many = True
        if key == "rn":
            kind, many = "ResourceName", False
        if kind == "Any":
            many = data_type.startswith("list")
            self.any_attributes.append(f"{table}.{key} ({data_type})")
        create, update = self.presence(attribute)
        release = attribute.get("rel", 1)
        if release > type_release and create == "M":
            create = "O"
        required = bool(mult and mult.startswith("1")) or (mult is None and key in ("rn", "ty", "ri", "pi", "ct", "lt"))
        announced = attribute.get("annc")
        if custom and announced is None:
            announced = "OA"
        by_cse = create == "NP" and (attribute.get("by") == "CSE" or update == "NP")
        out = f"attr({text(key)}, {text(attribute['ln'])}, {kind}, {create}, {update})"
        out += ".list()" if many else ""
        out += ".required()" if required else ""
        out += ".by_cse()" if by_cse else ""
        out += {"OA": ".oa()", "MA": ".ma()"}.get(announced, "")
        out += f".release({release})" if release > 1 else ""
        return out

    @staticmethod
    def presence(attribute):
        create, update = attribute.get("oc"), attribute.get("ou")
        if create in ("M", "O", "NP") and update in ("M", "O", "NP"):
            return create, update
        if attribute["sn"] == "rn" and attribute.get("rw") == "WO":
            return "O", "NP"
        if attribute.get("rw") == "RO":
            return "NP", "NP"
        return "O", "O"

    def rows(self, table, type_release, custom=False, without=()):
        attributes = [a for a in self.attributes[table]["attrs"] if a.get("sn") and a["sn"] not in without]
        seen, unique = set(), []
        for attribute in attributes:
            if attribute["sn"] not in seen:
                unique.append(attribute)
            seen.add(attribute["sn"])
        unique.sort(key=lambda a: ORDER.index(a["sn"]) if a["sn"] in ORDER else len(ORDER))
        return [self.row(table, a, type_release, custom) for a in unique]

    # === types ===

    def ty(self, short):
        """The number of a type, from its short or long name, announced or not."""
        if short in self.numbers:
            return self.numbers[short]
        for suffix in ("Annc", "A"):
            base = short.removesuffix(suffix)
            if base != short and base in self.numbers:
                return 10000 + self.numbers[base]
        if short in ("dataCollectionAnnc", "registrationAnnc"):
            return 10013
        raise SystemExit(f"no type {short!r}")

    def ty_expression(self, number):
        original = f"Ty::{scream(self.by_number[number % 10000]['name'])}"
        return original + (".announced()" if number > 10000 else "")

    def ty_list(self, numbers):
        return "&[" + ", ".join(self.ty_expression(n) for n in sorted(set(numbers))) + "]"

    def relations(self):
        """Children and parents of each type, and children of announced variants.

        A statement on one side counts for the other.
        """
        children = {n: set() for n in self.by_number}
        for t in self.types.values():
            for child in t["children"] + t.get("children_acme_extra", []):
                children[t["ty"]].add(self.ty(child))
            for parent in t.get("parents", []):
                children[self.ty(parent)].add(t["ty"])
        parents = {n: set() for n in self.by_number}
        for parent, of_parent in children.items():
            for child in of_parent:
                if child < 10000:
                    parents[child].add(parent)
        # An announced parent accepts what its table says.
        announced = {t["ty"]: {self.ty(c) for c in t["announced"].get("children", [])} for t in self.types.values() if "announced" in t}
        listed = {c for of_parent in [*children.values(), *announced.values()] for c in of_parent}
        for t in self.types.values():
            variant = 10000 + t["ty"]
            if t["ty"] in announced and (t["release"] == 4 or variant not in listed):
                # No table names these as children; their place is in the variants of the parents of the original.
                for parent in parents[t["ty"]] & set(announced):
                    announced[parent].add(variant)
        for parent, of_parent in announced.items():
            for child in of_parent & set(parents):
                parents[child].add(10000 + parent)
        return children, parents, announced

    def type_def(self, short, children, parents, announced_children):
        t = self.types[short]
        table, number, root = TABLE_OF.get(short, short), t["ty"], t["root"] or ""
        if " " in root:
            root = ""
        virtuals = [VIRTUALS[v] for v in t.get("virtual_children", [])]
        if short == "flexContainer":
            virtuals = ["Latest", "Oldest"]
        limits = []
        for child, limit in t.get("child_limits", {}).items():
            match = re.fullmatch(r"0\.\.(\d+)(?: rn=(\w+))?", limit)
            if match:
                name = f"Some({text(match[2])})" if match[2] else "None"
                limits.append(f"ChildLimit {{ child: {self.ty_expression(self.ty(child))}, max: {match[1]}, name: {name} }}")
        announced = "None"
        if "announced" in t:
            a = t["announced"]
            announced_root = a["root"] if " " not in a["root"] else ""
            of_variant = self.ty_list(announced_children[number])
            announced = (
                f"Some(AnnouncedDef {{ name: {text(a.get('name', t['name'] + 'Annc'))}, "
                f"root: {text(announced_root)}, children: {of_variant} }})"
            )
        constant = scream(t["name"])
        rows = ",\n        ".join(self.rows(table, t["release"]))
        return f"""
/// `<{t["name"]}>`
pub(in crate::schema) static {constant}: TypeDef = TypeDef {{
    ty: Ty::{constant},
    name: {text(t["name"])},
    short: {text(t["sn"] if t["sn"] != t["name"] else TABLE_OF.get(t["sn"], t["sn"]))},
    root: {text(root)},
    release: {t["release"]},
    attributes: &[
        {rows},
    ],
    children: {self.ty_list(children[number])},
    parents: {self.ty_list(parents[number])},
    virtuals: &[{", ".join(f"Virtual::{v}" for v in virtuals)}],
    subscribable: {str(23 in children[number]).lower()},
    in_cse_only: {str(t.get("in_cse_only", False)).lower()},
    announced: {announced},
    child_limits: &[{", ".join(limits)}],
    specialization: None,
    implemented: {str(number in IMPLEMENTED).lower()},
}};
"""

    def specialization(self, root, announced_root, name, release, specialization, rows):
        rows = ",\n            ".join(rows)
        rows = f"\n            {rows},\n        " if rows else ""
        announced = f"Some({text(announced_root)})" if announced_root else "None"
        return f"""
    SpecializationDef {{
        root: {text(root)},
        announced_root: {announced},
        name: {text(name)},
        release: {release},
        specialization: {specialization},
        attributes: &[{rows}],
    }},"""

    def management_objects(self, numbers):
        common = {a["sn"] for a in self.attributes["mgo"]["attrs"]}
        out = ""
        for special in self.resource_types["mgmtObj_specializations"]:
            root = special["root"]
            if not root or special["mgd"] not in numbers:
                continue
            table = root.split(":")[1]
            release = special.get("release", 1)
            if release == 1 and special["mgd"] >= 1020:
                release = 2
            out += self.specialization(
                root,
                special.get("announced_root"),
                special["name"],
                release,
                f"Some(Specialization::MgmtDefinition({special['mgd']}))",
                self.rows(table, self.attributes[table].get("release", 1), custom=True, without=common),
            )
        return out

    def flex_row(self, special, attribute):
        key, name, data_type, mult = attribute[:4]
        create, update = attribute[4].split("/") if len(attribute) > 4 else ("M" if mult == "1" else "O", "O")
        return self.row(special["root"], {"sn": key, "ln": name, "type": data_type, "mult": mult, "oc": create, "ou": update}, 9, True)

    def flex_container(self, special):
        cnd = f"Some(Specialization::ContainerDefinition({text(special['cnd'])}))" if special.get("cnd") else "None"
        suffix = "A" if special["root"].startswith("m2m:") else "Annc"
        rows = [self.flex_row(special, a) for a in special.get("attrs", [])]
        return self.specialization(special["root"], special["root"] + suffix, special["name"], 2, cnd, rows)

    # === complex types ===

    def complex_defs(self):
        """All complex types that attributes and primitives use, and those that these use."""
        for name in PRIMITIVE_TYPES:
            self.kind(name)
        out, done = [], 0
        while done < len(self.used_complex):
            name = self.used_complex[done]
            out.append(self.complex_def(name))
            done += 1
        return [definition for _, definition in sorted(out)]

    def complex_def(self, name):
        definition = self.complex[name]
        members = [m for m in definition["members"] if m.get("sn")]
        is_open = definition.get("release", 1) >= 4 or len(members) < len(definition["members"])
        return name, self.complex_static(scream(name), name, members, "", is_open)

    def complex_static(self, constant, name, members, prefix, is_open):
        rows, nested = "", ""
        for m in members:
            path = m["path"].removeprefix(prefix)
            if not m["path"].startswith(prefix) or "/" in path:
                continue
            inner = [i for i in members if i["path"].startswith(m["path"] + "/")]
            if inner:
                inner_constant = f"{constant}_{scream(path)}"
                nested += self.complex_static(inner_constant, f"{name}/{path}", members, m["path"] + "/", is_open)
                kind, many = f"Complex(&{inner_constant})", False
            else:
                # The only member of that type is a list of user names.
                kind, many = ("Text", True) if m["sn"] == "acui" else self.kind(m["type"])
                kind = kind.replace("complex::", "")
                if kind == "Any":
                    many = m["type"].startswith("list")
            mult = m.get("mult") or "0..1"
            row = f"member({text(m['sn'])}, {text(path.lstrip('@'))}, {kind})"
            if mult[-1] in "nL5":
                row += ".list()" if many else ".repeated()"
            elif many:
                row += ".list()"
            # An empty set of rules and the like are written as an object without members.
            row += ".required()" if mult.startswith("1") else ""
            row += ".xml_attribute()" if path.startswith("@") else ""
            row += ".xml_content()" if path == "(base content)" else ""
            rows += f"        {row},\n"
        clause = f" (TS-0004 §{self.complex[name]['clause']})" if name in self.complex and "clause" in self.complex[name] else ""
        return nested + f"""
/// `{name}`{clause}
pub static {constant}: ComplexDef = ComplexDef {{
    name: {text(name)},
    members: &[
{rows}    ],
    open: {str(is_open).lower()},
}};
"""

    # === enumerations ===

    def enum_defs(self):
        out = ""
        for name in sorted(self.used_enums):
            definition = self.enums[name]
            values = dict(definition["values"]) | definition.get("r4_additional", {})
            if name == "m2m:memberType":
                values |= {k: v for k, v in self.enums["m2m:resourceType"]["r4_additional"].items()}
            if name == "m2m:mgmtDefinition":
                values |= {str(s["mgd"]): s["name"] for s in self.resource_types["mgmtObj_specializations"] if str(s["mgd"]) not in values}
            values = {int(k): re.sub(r" \((R3|R4|EXPERIMENTAL|check)[^)]*\)|[\[\]]", "", v) for k, v in values.items() if v != "void"}
            rows = "".join(f"        ({k}, {text(v)}),\n" for k, v in sorted(values.items()))
            clause = f" (TS-0004 §{definition['clause']})" if "clause" in definition else ""
            one_source = definition.get("sources") == ["ACME"]
            out += f"""
/// `{name}`{clause}
pub static {scream(name)}: EnumDef = EnumDef {{
    name: {text(name)},
    values: &[
{rows}    ],
    bits: {str(name in BIT_MASKS).lower()},
    open: {str(one_source and name not in BIT_MASKS).lower()},
}};
"""
        return out

    # === keys ===

    def keys(self):
        """Constants for the attributes of implemented types and for the members of the complex types they use."""
        users = {}

        def use(long, short, user):
            constant = "CONTENT_VALUE" if long == "(base content)" else scream(long.lstrip("@"))
            users.setdefault(constant, {}).setdefault(short, (long, []))[1].append(user)

        for t in sorted(self.types.values(), key=lambda t: t["ty"]):
            if t["ty"] in IMPLEMENTED:
                for attribute in self.attributes[TABLE_OF.get(t["sn"], t["sn"])]["attrs"]:
                    use(attribute["ln"], attribute["sn"], f"`<{t['name']}>`")
        for attribute in self.attributes["_announced"]["attrs"]:
            if attribute.get("sn"):
                use(attribute["ln"], attribute["sn"], "announced variants")
        reached, waiting = [], list(PRIMITIVE_TYPES)
        for t in self.types.values():
            if t["ty"] in IMPLEMENTED:
                waiting += [a["type"] for a in self.attributes[TABLE_OF.get(t["sn"], t["sn"])]["attrs"]]
        while waiting:
            name = re.sub(r"^[Ll]ist of ", "", waiting.pop(0) or "")
            name = SAME_TYPE.get(name, name)
            if name in self.complex and name not in reached:
                reached.append(name)
                waiting += [m.get("type") for m in self.complex[name]["members"]]
        for name in sorted(reached):
            for m in self.complex[name]["members"]:
                if m.get("sn") and not m["sn"].startswith("m2m:"):
                    use(m["path"].rsplit("/", 1)[-1], m["sn"], f"`{name}`")
        out = ""
        for constant, shorts in sorted(users.items()):
            for index, (short, (long, where)) in enumerate(sorted(shorts.items(), key=lambda s: -len(s[1][1]))):
                # Where one long name has two short names, the rarer one is named after its type.
                prefix = f"{scream(where[0].strip('`<>'))}_" if index else ""
                where = list(dict.fromkeys(where))
                shown = ", ".join(where[:3]) + (" and others" if len(where) > 3 else "")
                out += f"/// {long.lstrip('@')}: {shown}.\npub const {prefix}{constant}: &str = {text(short)};\n"
        return out

    # === files ===

    def write(self, path, content):
        path = OUT / path
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
        self.written.append(path)

    @staticmethod
    def imports(body):
        """The `use` lines that the body of a table file needs."""
        names = [n for n in DEFINITIONS if re.search(rf"(?<![:\w]){n}\b", body)]
        kinds = [k for k in KIND_NAMES if re.search(rf"[ (]{k}\b(?!::)", body)]
        schema = [n for n in ("Ty", "complex", "enums") if f"{n}::" in body]
        presences = [f"{long} as {short}" for short, long in PRESENCES.items() if re.search(rf", {short}[,)]", body)]
        groups = [("definition::", names), ("kind::Kind::", kinds), ("", schema), ("Presence::", presences)]
        return "\n".join(f"use crate::schema::{path}{{{', '.join(used)}}};" for path, used in groups if used)

    def run(self):
        self.written = []
        relations = self.relations()
        placed = {s for _, shorts in AREAS.values() for s in shorts}
        if placed != set(self.types):
            raise SystemExit(f"AREAS and the types differ: {placed ^ set(self.types)}")

        for area, (about, shorts) in AREAS.items():
            body = "".join(self.type_def(s, *relations) for s in shorts)
            self.write(f"tables/{area}.rs", f"//! {about}\n//!\n{GENERATED}\n\n{self.imports(body)}\n{body}")
        for area, (about, numbers) in MANAGEMENT.items():
            body = f"\npub(super) static SPECIALIZATIONS: &[SpecializationDef] = &[{self.management_objects(numbers)}\n];\n"
            self.write(f"tables/{area}.rs", f"//! {about}\n//!\n{GENERATED}\n\n{self.imports(body)}\n{body}")
        self.write_index()
        self.write_flex()

        complex_body = "".join(self.complex_defs())
        used_kinds = [k for k in KIND_NAMES if re.search(rf"[ (]{k}\b(?!::)", complex_body)]
        self.write(
            "complex.rs",
            f"//! Complex data types of attributes and primitives (TS-0004 §6.3.5).\n//!\n{GENERATED}\n\n"
            f"use super::kind::Kind::{{{', '.join(used_kinds)}}};\nuse super::kind::member;\n"
            f"use super::{{ComplexDef, enums}};\n{complex_body}",
        )
        self.write(
            "enums.rs",
            f"//! Enumerations of attributes and primitives (TS-0004 §6.3.4.2).\n//!\n{GENERATED}\n\nuse super::EnumDef;\n{self.enum_defs()}",
        )
        self.write(
            "keys.rs",
            "//! Short names by long name, so that code says what it means.\n//!\n"
            "//! A short name may stand for different things in different types; a long name that has several short names\n"
            f"//! is told apart by a prefix.\n//!\n{GENERATED}\n\n{self.keys()}",
        )
        subprocess.run(["rustfmt", "--edition", "2024", "--config-path", str(CRATE.parent), *map(str, self.written)], check=True)
        print("taken without looking into:", ", ".join(dict.fromkeys(self.any_attributes)))

    def write_index(self):
        statics = {n: f"{area}::{scream(self.by_number[n]['name'])}" for area, (_, shorts) in AREAS.items() for n in [self.types[s]["ty"] for s in shorts]}
        modules = "\n".join(
            f"pub(super) mod {m};" if m in ("data", "management") else f"mod {m};" for m in sorted([*AREAS, *MANAGEMENT])
        )
        numbers = "".join(f"        {n} => Some(&{statics[n]}),\n" for n in sorted(statics))
        roots = "".join(
            f"        {text(self.by_number[n]['root'])} => Some(&{statics[n]}),\n"
            for n in sorted(statics)
            if self.by_number[n]["root"] and " " not in self.by_number[n]["root"]
        )
        everything = "".join(f"    &{statics[n]},\n" for n in sorted(statics))
        common = []
        for a in sorted((a for a in self.attributes["_announced"]["attrs"] if a.get("sn")), key=lambda a: ORDER.index(a["sn"])):
            row = dict(a)
            row["mult"] = "1" if a["sn"] in ("rn", "ty", "ri", "pi", "ct", "lt", "et", "lnk") else "0..1"
            common.append(self.row("_announced", row, 1))
        rows = ",\n    ".join(common)
        body = f"""
/// All types that have a number of their own, in ascending order.
pub(super) static ALL: &[&TypeDef] = &[
{everything}];

/// The specializations of `<mgmtObj>`.
pub(super) static MANAGEMENT_OBJECTS: &[&[SpecializationDef]] = &[{", ".join(f"{m}::SPECIALIZATIONS" for m in MANAGEMENT)}];

/// What every announced variant has (TS-0001 §9.6.26).
pub(super) static ANNOUNCED_COMMON: &[AttrDef] = &[
    {rows},
];

/// The type with that number.
pub(super) fn by_number(number: u16) -> Option<&'static TypeDef> {{
    match number {{
{numbers}        _ => None,
    }}
}}

/// The type with that root element; no specializations, no announced variants.
pub(super) fn by_root(root: &str) -> Option<&'static TypeDef> {{
    match root {{
{roots}        _ => None,
    }}
}}
"""
        used = [k for k in KIND_NAMES if re.search(rf", {k}\b(?!::)", rows)]
        header = f"""//! The tables of the resource types, one file for each area (TS-0004 §7.4, TS-0001 §9.6).
//!
{GENERATED}

{modules}

use super::Presence::{{Mandatory as M, NotPermitted as NP, Optional as O}};
use super::definition::{{AttrDef, SpecializationDef, TypeDef, attr}};
use super::kind::Kind::{{{", ".join(used)}}};
use super::enums;
"""
        self.write("tables.rs", header + body)

    def write_flex(self):
        """One file for each domain; large domains are cut into several files."""
        files = {}
        for special in sorted(self.flex, key=lambda s: s["root"]):
            domain = special["root"].split(":")[0]
            files.setdefault(domain, []).append(special)
        split = {}
        for domain, specials in files.items():
            lines, part, parts = 0, [], []
            for special in specials:
                size = 8 + len(special.get("attrs", []))
                if lines + size > 480:
                    parts.append(part)
                    lines, part = 0, []
                lines, part = lines + size, part + [special]
            parts.append(part)
            for index, part in enumerate(parts):
                split[domain if len(parts) == 1 else f"{domain}_{index + 1}"] = (domain, part)
        for name, (domain, specials) in split.items():
            body = "\npub(super) static SPECIALIZATIONS: &[SpecializationDef] = &[" + "".join(map(self.flex_container, specials)) + "\n];\n"
            first, last = specials[0]["root"], specials[-1]["root"]
            about = f"Specializations of `<flexContainer>`: domain `{domain}`, from `{first}` to `{last}`."
            self.write(f"flex/{name}.rs", f"//! {about}\n//!\n{GENERATED}\n\n{self.imports(body)}\n{body}")
        modules = "\n".join(f"mod {m};" for m in sorted(split))
        self.write(
            "flex.rs",
            f"//! The specializations of `<flexContainer>` (TS-0023, TS-0004 annex J), one file for each domain.\n//!\n{GENERATED}\n\n"
            f"{modules}\n\nuse super::definition::SpecializationDef;\n\n/// All specializations.\n"
            f"pub(super) static SPECIALIZATIONS: &[&[SpecializationDef]] = &[{', '.join(f'{m}::SPECIALIZATIONS' for m in sorted(split))}];\n",
        )


if __name__ == "__main__":
    default = CRATE.parent.parent / "shared" / "onem2m"
    Generator(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default).run()
