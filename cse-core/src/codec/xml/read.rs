//! From a document to the tree.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesDecl, BytesStart, Event};

use super::collect::{Content, Members};
use super::names::{self, INSTANCE};
use super::slots::{Many, Slot, What};
use super::{VALUES, text};
use crate::codec::DEPTH_MAX;
use crate::schema::{Kind, XmlForm};
use crate::value::{Map, Name, Value};

/// Most attributes of an element, namespace declarations included.
const ATTRIBUTES_MAX: usize = 64;
/// Most namespace declarations in force at one place.
const NAMESPACES_MAX: usize = 64;

/// Reads a document; the error says what is wrong with it.
pub(super) fn document(bytes: &[u8]) -> Result<Map, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| invalid("it is not UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !text::is_plain_text(text) {
        return Err(invalid("a character that XML does not allow"));
    }
    let mut reader = Document { xml: Reader::from_str(text), bindings: Vec::new() };
    reader.xml.config_mut().check_comments = true;
    let mut map = None;
    let mut is_first = true;
    loop {
        match reader.next()? {
            Event::Decl(declaration) if is_first => check_declaration(&declaration)?,
            Event::Start(start) if map.is_none() => map = Some(reader.root(&start, false)?),
            Event::Empty(start) if map.is_none() => map = Some(reader.root(&start, true)?),
            Event::Comment(_) => {}
            Event::Text(text) if text.bytes().all(text::is_blank) => {}
            Event::Eof => break,
            Event::Decl(_) => return Err(invalid("an XML declaration can only be the very beginning")),
            Event::PI(_) => return Err(no_instructions()),
            Event::DocType(_) => return Err(no_document_type()),
            _ => return Err(invalid("there must be one root element and nothing beside it")),
        }
        is_first = false;
    }
    let map = map.ok_or_else(|| invalid("there is no root element"))?;
    if map.iter().any(|(_, value)| value.depth() >= DEPTH_MAX) {
        return Err(too_deep());
    }
    Ok(map)
}

fn check_declaration(declaration: &BytesDecl<'_>) -> Result<(), String> {
    let version = declaration.version().map_err(invalid)?;
    if version != "1.0" {
        return Err(invalid("its version is not 1.0"));
    }
    match declaration.encoding() {
        None => Ok(()),
        Some(Ok(encoding)) if encoding.eq_ignore_ascii_case("utf-8") => Ok(()),
        Some(_) => Err(invalid("its encoding is not UTF-8")),
    }
}

/// The message about a problem; short, whatever of the input it quotes.
fn invalid(problem: impl std::fmt::Display) -> String {
    const CHARACTERS_MAX: usize = 200;
    format!("invalid XML: {problem}").chars().take(CHARACTERS_MAX).collect()
}

fn no_instructions() -> String {
    invalid("processing instructions are not accepted")
}

fn no_document_type() -> String {
    invalid("document type declarations are not accepted")
}

fn too_deep() -> String {
    format!("nested deeper than {DEPTH_MAX} levels")
}

fn shortened(name: &str) -> String {
    name.chars().take(64).collect()
}

/// What a namespace name stands for.
#[derive(Clone, Copy)]
enum Namespace {
    /// A namespace of oneM2M, by its usual prefix.
    Usual(&'static str),
    /// `xsi`
    Instance,
    /// Ours.
    Values,
    /// Any other: the prefix in the document stands for it.
    Other,
}

impl Namespace {
    fn of(uri: &str) -> Self {
        match uri {
            INSTANCE => Self::Instance,
            VALUES => Self::Values,
            other => names::prefix_of(other).map_or(Self::Other, Self::Usual),
        }
    }
}

struct Binding {
    /// Empty for the default namespace.
    prefix: Name,
    namespace: Namespace,
}

/// What stands in a start tag.
#[derive(Default)]
struct Tag<'t> {
    /// Attributes that are members.
    members: Vec<(&'t str, Cow<'t, str>)>,
    /// `xsi:type`
    type_name: Option<Cow<'t, str>>,
    /// `xsi:nil`
    nil: Option<bool>,
    /// Our `type="json"`.
    json: bool,
}

/// An element as far as it needs no table.
struct Body<'a> {
    text: Cow<'a, str>,
    /// Whether there was a CDATA section, so that an empty element is not `null`.
    marked: bool,
    /// Whether there were elements in it.
    has_elements: bool,
    members: Members,
}

struct Document<'a> {
    xml: Reader<&'a [u8]>,
    bindings: Vec<Binding>,
}

impl<'a> Document<'a> {
    fn next(&mut self) -> Result<Event<'a>, String> {
        self.xml.read_event().map_err(invalid)
    }

    fn root(&mut self, start: &BytesStart<'_>, is_empty: bool) -> Result<Map, String> {
        let declared = self.bindings.len();
        let tag = self.tag(start)?;
        let raw = start.name().into_inner();
        if let Some((_, "object")) =
            self.qualified(raw)?.filter(|(namespace, _)| matches!(namespace, Namespace::Values))
        {
            let slot = What::DOCUMENT.member("");
            return match self.content(&slot, false, tag, is_empty, 1, declared)? {
                Content::Whole(Value::Map(map)) => Ok(map),
                _ => Err(invalid("the root element is no object")),
            };
        }
        let (name, slot) = self.member(&What::DOCUMENT, raw)?;
        let is_global = name.contains(':');
        let mut members = Members::default();
        let content = self.content(&slot, is_global, tag, is_empty, 2, declared)?;
        members.add(name, slot.many, content)?;
        Ok(members.into_map())
    }

    /// The name and the place of a member, by the name of its element.
    fn member(&self, parent: &What, raw: &str) -> Result<(Name, Slot), String> {
        let qualified = match self.qualified(raw)? {
            None => match self.default_namespace() {
                // Unqualified names belong to a default namespace in the eyes of XML. Where the table has the name, it
                // is meant; else it may be a global element.
                Some(Namespace::Usual(prefix)) if !parent.member(raw).is_known() => {
                    let qualified = smol_str::format_smolstr!("{prefix}:{raw}");
                    parent.member(&qualified).is_known().then_some(qualified)
                }
                _ => None,
            },
            Some((Namespace::Usual(prefix), local)) => {
                if let Some(slot) = parent.member_without_prefix(&smol_str::format_smolstr!("{prefix}:{local}")) {
                    return Ok((slot.name(local), slot));
                }
                let is_usual = raw.strip_suffix(local).and_then(|start| start.strip_suffix(':')) == Some(prefix);
                (!is_usual).then(|| smol_str::format_smolstr!("{prefix}:{local}"))
            }
            Some(_) => None,
        };
        let name = qualified.as_deref().unwrap_or(raw);
        let slot = parent.member(name);
        Ok((slot.name(name), slot))
    }

    /// Namespace and local name; `None` for a name without prefix.
    fn qualified<'n>(&self, raw: &'n str) -> Result<Option<(Namespace, &'n str)>, String> {
        let Some((prefix, local)) = raw.split_once(':') else {
            return if names::is_local_name(raw) { Ok(None) } else { Err(bad_name(raw)) };
        };
        if !names::is_local_name(prefix) || !names::is_local_name(local) {
            return Err(bad_name(raw));
        }
        let bound =
            self.bindings.iter().rev().find(|binding| binding.prefix == prefix).map(|binding| binding.namespace);
        match (bound, names::namespace_of(prefix)) {
            (Some(Namespace::Other), Some(uri)) => Err(invalid(format_args!("'{prefix}' is not bound to {uri}"))),
            (Some(namespace), _) => Ok(Some((namespace, local))),
            (None, Some(uri)) => Ok(Some((Namespace::of(uri), local))),
            (None, None) if prefix == "xml" => Ok(Some((Namespace::Other, local))),
            (None, None) => Err(invalid(format_args!("the prefix '{}' is not declared", shortened(prefix)))),
        }
    }

    fn default_namespace(&self) -> Option<Namespace> {
        self.bindings.iter().rev().find(|binding| binding.prefix.is_empty()).map(|binding| binding.namespace)
    }

    /// Reads the attributes of a start tag; its namespace declarations stay in force until they are taken back.
    fn tag<'t>(&mut self, start: &'t BytesStart<'_>) -> Result<Tag<'t>, String> {
        let mut attributes = Vec::new();
        let mut tag = Tag::default();
        for attribute in start.attributes() {
            let attribute = attribute.map_err(invalid)?;
            if attributes.len() == ATTRIBUTES_MAX {
                return Err(invalid(format_args!("an element with more than {ATTRIBUTES_MAX} attributes")));
            }
            if attribute.value.contains('<') {
                return Err(invalid("'<' in an attribute"));
            }
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(invalid)?;
            if !text::is_plain_text(&value) {
                return Err(invalid("a character that XML does not allow"));
            }
            attributes.push((attribute.key.into_inner(), value));
        }
        for (key, value) in &attributes {
            let prefix = match key.strip_prefix("xmlns") {
                Some("") => "",
                Some(rest) if rest.starts_with(':') => &rest[1..],
                _ => continue,
            };
            if self.bindings.len() == NAMESPACES_MAX {
                return Err(invalid(format_args!("more than {NAMESPACES_MAX} namespace declarations")));
            }
            self.bindings.push(Binding { prefix: prefix.into(), namespace: Namespace::of(value) });
        }
        for (key, value) in attributes {
            if key == "xmlns" || key.starts_with("xmlns:") {
                continue;
            }
            match self.qualified(key)? {
                None => tag.members.push((key, value)),
                Some((Namespace::Instance, "type")) => tag.type_name = Some(value),
                Some((Namespace::Instance, "nil")) => tag.nil = Some(matches!(text::trimmed(&value), "true" | "1")),
                Some((Namespace::Instance, _)) => {}
                Some((Namespace::Values, "type")) if value == "json" => tag.json = true,
                Some(_) if key.starts_with("xml:") => {}
                Some(_) => tag.members.push((key, value)),
            }
        }
        Ok(tag)
    }

    /// Reads an element from behind its start tag to its end.
    fn content(
        &mut self,
        slot: &Slot,
        is_global: bool,
        tag: Tag<'_>,
        is_empty: bool,
        level: usize,
        declared: usize,
    ) -> Result<Content, String> {
        let mut members = Members::default();
        for (key, value) in tag.members {
            let (name, slot) = match key.contains(':') {
                true => self.member(&slot.what, key)?,
                // A default namespace is for elements only.
                false => {
                    let slot = slot.what.member(key);
                    (slot.name(key), slot)
                }
            };
            members.add(name, slot.many, text_content(&slot, &value))?;
        }
        let mut body = Body { text: Cow::Borrowed(""), marked: false, has_elements: false, members };
        if !is_empty {
            self.body(&slot.what, &mut body, level)?;
        }
        self.bindings.truncate(declared);
        if tag.json {
            let value = serde_json::from_str(&body.text).map_err(invalid)?;
            return if body.members.is_empty() {
                Ok(Content::Whole(value))
            } else {
                Err(invalid("JSON with elements"))
            };
        }
        let type_name = tag.type_name.as_deref().map(|name| name.rsplit(':').next().unwrap_or(name));
        if let Some(value) =
            type_name.and_then(|name| text::value_of_type(name, &body.text)).filter(|_| body.members.is_empty())
        {
            return Ok(if slot.many == Many::No { Content::Whole(value) } else { Content::Item(value) });
        }
        body.marked |= tag.nil == Some(false);
        if tag.nil == Some(true) && body.text.bytes().all(text::is_blank) && body.members.is_empty() {
            return Ok(null(slot));
        }
        finish(slot, is_global, body)
    }

    /// Reads what is between start and end of an element.
    fn body(&mut self, what: &What, body: &mut Body<'a>, level: usize) -> Result<(), String> {
        loop {
            match self.next()? {
                Event::Start(start) => self.child(what, body, &start, false, level)?,
                Event::Empty(start) => self.child(what, body, &start, true, level)?,
                Event::End(_) => return Ok(()),
                Event::Text(piece) => append(&mut body.text, piece.xml10_content()),
                Event::CData(piece) => {
                    body.marked = true;
                    append(&mut body.text, piece.xml10_content());
                }
                Event::GeneralRef(reference) => {
                    let character = match reference.resolve_char_ref().map_err(invalid)? {
                        Some(character) => character,
                        None => match &*reference {
                            "amp" => '&',
                            "lt" => '<',
                            "gt" => '>',
                            "quot" => '"',
                            "apos" => '\'',
                            other => {
                                return Err(invalid(format_args!("the entity '{}' is not known", shortened(other))));
                            }
                        },
                    };
                    if !text::is_plain_text(character.encode_utf8(&mut [0; 4])) {
                        return Err(invalid("a character that XML does not allow"));
                    }
                    body.text.to_mut().push(character);
                }
                Event::Comment(_) => {}
                Event::PI(_) | Event::Decl(_) => return Err(no_instructions()),
                Event::DocType(_) => return Err(no_document_type()),
                Event::Eof => return Err(invalid("it ends too early")),
            }
        }
    }

    fn child(
        &mut self,
        what: &What,
        body: &mut Body<'a>,
        start: &BytesStart<'_>,
        is_empty: bool,
        level: usize,
    ) -> Result<(), String> {
        if level >= DEPTH_MAX {
            return Err(too_deep());
        }
        let declared = self.bindings.len();
        let tag = self.tag(start)?;
        let (name, slot) = self.member(what, start.name().into_inner())?;
        let is_global = name.contains(':');
        let content = self.content(&slot, is_global, tag, is_empty, level + 1, declared)?;
        body.has_elements = true;
        body.members.add(name, slot.many, content)
    }
}

/// The value of an element, by what is known of its place.
fn finish(slot: &Slot, is_global: bool, body: Body<'_>) -> Result<Content, String> {
    let Body { text, marked, has_elements, mut members } = body;
    if !members.is_empty() {
        if let Some(content) = slot.what.content_member() {
            if marked || !text::trimmed(&text).is_empty() {
                members.add(
                    Name::new_static(content.key),
                    Many::No,
                    Content::Whole(text::value_of(&content.kind, &text)),
                )?;
            }
        } else if !text.bytes().all(text::is_blank) {
            if has_elements || slot.what.is_object() {
                return Err(invalid("text between elements"));
            }
            // A text with attributes, as in TS-0004 §8.4.2.
            members.add(Name::new_static("val"), Many::No, Content::Whole(Value::from(&*text)))?;
        }
        return Ok(Content::Item(members.into_map().into()));
    }
    let kind = slot.kind().unwrap_or(&Kind::Object);
    let is_blank = text.bytes().all(text::is_blank);
    if text.is_empty() || (is_blank && !matches!(kind, Kind::Text | Kind::Any)) {
        return Ok(match (is_global, marked) {
            (false, false) => null(slot),
            // Only a container of elements is told from a text; an unknown global element is one.
            _ if slot.many == Many::List => Content::Items(Vec::new()),
            (true, _) if slot.what.is_object() || matches!(kind, Kind::Any) => Content::Item(Map::new().into()),
            (false, true) if slot.many == Many::Repeated && text.is_empty() => Content::Items(Vec::new()),
            (false, true) if slot.what.is_object() => Content::Item(Map::new().into()),
            _ => Content::Item("".into()),
        });
    }
    if let Some(content) = slot.what.content_member() {
        let value = text::value_of(&content.kind, &text);
        return Ok(Content::Item(Map::single(Name::new_static(content.key), value).into()));
    }
    Ok(text_content(slot, &text))
}

/// What a text says about a member.
fn text_content(slot: &Slot, text: &str) -> Content {
    let kind = slot.kind().unwrap_or(&Kind::Object);
    match slot.many {
        Many::List => Content::Items(text::items_of(kind, text)),
        Many::Repeated if slot.form == XmlForm::Repeated && text::is_splittable(kind) => {
            Content::Items(text::items_of(kind, text))
        }
        _ => Content::Item(text::value_of(kind, text)),
    }
}

fn null(slot: &Slot) -> Content {
    // Where nobody knows whether it is a list, it may be one of several.
    if slot.many == Many::Loose { Content::Item(Value::Null) } else { Content::Whole(Value::Null) }
}

fn append<'a>(text: &mut Cow<'a, str>, piece: Cow<'a, str>) {
    if text.is_empty() { *text = piece } else { text.to_mut().push_str(&piece) }
}

fn bad_name(name: &str) -> String {
    invalid(format_args!("'{}' is no name", shortened(name)))
}
