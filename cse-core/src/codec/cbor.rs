//! CBOR (RFC 8949, TS-0004 §8.5): the same tree as JSON, in fewer bytes.
//!
//! A reader over the slice itself: texts go from the input straight into the tree, which is what makes CBOR
//! quicker than JSON. What the tree has no place for is decided here:
//!
//! - Names and texts may be byte strings, as in the examples of TS-0004 §8.5.2, if they are UTF-8. Binary content
//!   is text in base64 everywhere in oneM2M; a byte string that asks for that conversion (tag 22) gets it.
//! - Integers go from -2^63 to 2^64-1, also as bignums; beyond that they are refused. So are floats that are not
//!   finite: neither JSON nor the data types of oneM2M have them.
//! - Other tags say nothing that the attribute tables do not know better; they are skipped. Only those below which the
//!   value does not stand itself (references, fractions) are refused.
//! - `undefined` is `null`; other simple values are refused.

use super::{DEPTH_MAX, base64};
use crate::error::Error;
use crate::value::{Map, Members, Name, Text, Value};

/// Reads one object.
pub(super) fn decode(bytes: &[u8]) -> Result<Map, Error> {
    let mut reader = Reader { rest: bytes };
    let value = reader.value(1).map_err(|problem| Error::NotAPrimitive(problem.message()))?;
    if !reader.rest.is_empty() {
        return Err(Error::NotAPrimitive("invalid CBOR: more than one data item".into()));
    }
    match value {
        Value::Map(map) => Ok(map),
        other => Err(Error::NotAPrimitive(format!("expected a CBOR map, found {}", other.kind_name()))),
    }
}

/// Writes one object, with definite lengths and the shortest heads (RFC 8949 §4.1).
pub(super) fn encode(map: &Map) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    write_map(&mut bytes, map);
    bytes
}

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;

const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;
const NULL: u8 = 0xf6;
const FLOAT32: u8 = 0xfa;
const FLOAT64: u8 = 0xfb;
const BREAK: u8 = 0xff;

/// Tags that change what is below them.
const TAG_BIGNUM: u64 = 2;
const TAG_NEGATIVE_BIGNUM: u64 = 3;
const TAG_BASE64: u64 = 22;
/// Tags below which something else than the value stands: decimal fractions, bigfloats and rationals as lists of two
/// numbers, references to earlier strings and values as a number.
const TAGS_NOT_THE_VALUE: [u64; 5] = [4, 5, 25, 29, 30];

/// Most room that is made before the items are there, whatever the head of an array or a map promises.
const RESERVED_ITEMS_MAX: u64 = 64;

/// Why bytes are refused.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Problem {
    Truncated,
    Reserved,
    UnexpectedBreak,
    TooDeep,
    NotUtf8,
    NotText,
    IntegerRange,
    NotFinite,
    SimpleValue,
    Chunk,
    Tag(u64),
    Twice(String),
}

impl Problem {
    fn message(&self) -> String {
        let text = match self {
            Problem::Truncated => "it ends too early",
            Problem::Reserved => "reserved length",
            Problem::UnexpectedBreak => "unexpected break",
            Problem::TooDeep => return format!("nested deeper than {DEPTH_MAX} levels"),
            Problem::NotUtf8 => "a string that is not UTF-8 text; binary content is sent as text in base64",
            Problem::NotText => "a member name must be text",
            Problem::IntegerRange => "an integer of more than 64 bits",
            Problem::NotFinite => "a number that is not finite",
            Problem::SimpleValue => "an unassigned simple value",
            Problem::Chunk => "a chunk that does not belong to its string",
            Problem::Tag(number) => return format!("invalid CBOR: tag {number} is not understood here"),
            Problem::Twice(problem) => problem,
        };
        format!("invalid CBOR: {text}")
    }
}

/// The initial byte of a data item and its argument.
struct Head {
    major: u8,
    /// The low five bits.
    info: u8,
    /// The argument; `None` for an indefinite length.
    argument: Option<u64>,
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8, Problem> {
        let (first, rest) = self.rest.split_first().ok_or(Problem::Truncated)?;
        self.rest = rest;
        Ok(*first)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let (first, rest) = self.rest.split_first_chunk::<N>().ok_or(Problem::Truncated)?;
        self.rest = rest;
        Ok(*first)
    }

    fn slice(&mut self, length: u64) -> Result<&'a [u8], Problem> {
        let length = usize::try_from(length).map_err(|_| Problem::Truncated)?;
        let (first, rest) = self.rest.split_at_checked(length).ok_or(Problem::Truncated)?;
        self.rest = rest;
        Ok(first)
    }

    fn head(&mut self) -> Result<Head, Problem> {
        let initial = self.byte()?;
        let (major, info) = (initial >> 5, initial & 0x1f);
        let argument = match info {
            0..=23 => Some(u64::from(info)),
            24 => Some(u64::from(self.byte()?)),
            25 => Some(u64::from(u16::from_be_bytes(self.array()?))),
            26 => Some(u64::from(u32::from_be_bytes(self.array()?))),
            27 => Some(u64::from_be_bytes(self.array()?)),
            31 => None,
            _ => return Err(Problem::Reserved),
        };
        Ok(Head { major, info, argument })
    }

    /// Whether an indefinite length ends here; takes the break.
    fn ends(&mut self) -> bool {
        match self.rest.split_first() {
            Some((&BREAK, rest)) => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// A value at that level of nesting, the outermost being 1.
    fn value(&mut self, level: usize) -> Result<Value, Problem> {
        if level > DEPTH_MAX {
            return Err(Problem::TooDeep);
        }
        let mut tag = None;
        loop {
            let head = self.head()?;
            match (head.major, head.argument) {
                (TAG, Some(number)) if TAGS_NOT_THE_VALUE.contains(&number) => return Err(Problem::Tag(number)),
                (TAG, Some(number)) => tag = Some(number),
                _ => return self.untagged(head, tag, level),
            }
        }
    }

    fn untagged(&mut self, head: Head, tag: Option<u64>, level: usize) -> Result<Value, Problem> {
        match (head.major, head.argument) {
            (UNSIGNED, Some(number)) => Ok(Value::from(number)),
            (NEGATIVE, Some(number)) => negative(number),
            (BYTES, length) => match tag {
                Some(TAG_BIGNUM) => bignum(&self.joined(BYTES, length)?).map(Value::from),
                Some(TAG_NEGATIVE_BIGNUM) => negative(bignum(&self.joined(BYTES, length)?)?),
                Some(TAG_BASE64) => Ok(Value::Text(base64(&self.joined(BYTES, length)?))),
                _ => self.text(BYTES, length).map(Value::Text),
            },
            (TEXT, length) => self.text(TEXT, length).map(Value::Text),
            (ARRAY, length) => self.list(length, level).map(Value::List),
            (MAP, length) => self.map(length, level).map(Value::Map),
            (7, argument) => simple(head.info, argument),
            _ => Err(Problem::Reserved),
        }
    }

    fn text(&mut self, major: u8, length: Option<u64>) -> Result<Text, Problem> {
        if let Some(length) = length {
            return utf8(self.slice(length)?).map(Text::from);
        }
        if major == BYTES {
            return utf8(&self.joined(major, length)?).map(Text::from);
        }
        // Each chunk of a text is UTF-8 by itself (RFC 8949 §3.2.3).
        let mut joined = String::new();
        while !self.ends() {
            joined.push_str(utf8(self.chunk(major)?)?);
        }
        Ok(joined.into())
    }

    fn joined(&mut self, major: u8, length: Option<u64>) -> Result<std::borrow::Cow<'a, [u8]>, Problem> {
        if let Some(length) = length {
            return Ok(self.slice(length)?.into());
        }
        let mut joined = Vec::new();
        while !self.ends() {
            joined.extend_from_slice(self.chunk(major)?);
        }
        Ok(joined.into())
    }

    fn chunk(&mut self, major: u8) -> Result<&'a [u8], Problem> {
        let head = self.head()?;
        match head.argument {
            Some(length) if head.major == major => self.slice(length),
            _ => Err(Problem::Chunk),
        }
    }

    fn list(&mut self, length: Option<u64>, level: usize) -> Result<Vec<Value>, Problem> {
        let mut list = Vec::with_capacity(self.room(length));
        match length {
            Some(length) => {
                for _ in 0..length {
                    list.push(self.value(level + 1)?);
                }
            }
            None => {
                while !self.ends() {
                    list.push(self.value(level + 1)?);
                }
            }
        }
        Ok(list)
    }

    fn map(&mut self, length: Option<u64>, level: usize) -> Result<Map, Problem> {
        let mut members = Members::with_capacity(self.room(length));
        let mut left = length;
        loop {
            match &mut left {
                Some(0) => break,
                Some(left) => *left -= 1,
                None if self.ends() => break,
                None => {}
            }
            let name = self.name()?;
            let value = self.value(level + 1)?;
            members.add(name, value).map_err(Problem::Twice)?;
        }
        Ok(members.into_map())
    }

    fn name(&mut self) -> Result<Name, Problem> {
        loop {
            let head = self.head()?;
            match (head.major, head.argument) {
                (TAG, Some(_)) => {}
                (BYTES | TEXT, length) => return self.text(head.major, length),
                _ => return Err(Problem::NotText),
            }
        }
    }

    /// How many items to make room for: never more than the input can hold.
    fn room(&self, length: Option<u64>) -> usize {
        let promised = length.unwrap_or(4).min(RESERVED_ITEMS_MAX);
        usize::try_from(promised).map_or(0, |promised| promised.min(self.rest.len()))
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes).map_err(|_| Problem::NotUtf8)
}

/// The integer `-1 - number`.
fn negative(number: u64) -> Result<Value, Problem> {
    i64::try_from(number).map(|number| Value::Int(-1 - number)).map_err(|_| Problem::IntegerRange)
}

fn bignum(bytes: &[u8]) -> Result<u64, Problem> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let digits = &bytes[start..];
    if digits.len() > size_of::<u64>() {
        return Err(Problem::IntegerRange);
    }
    Ok(digits.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn simple(info: u8, argument: Option<u64>) -> Result<Value, Problem> {
    let Some(argument) = argument else { return Err(Problem::UnexpectedBreak) };
    let float = match info {
        20 => return Ok(Value::Bool(false)),
        21 => return Ok(Value::Bool(true)),
        22 | 23 => return Ok(Value::Null),
        25 => half(argument as u16),
        26 => f64::from(f32::from_bits(argument as u32)),
        27 => f64::from_bits(argument),
        _ => return Err(Problem::SimpleValue),
    };
    if float.is_finite() { Ok(Value::Float(float)) } else { Err(Problem::NotFinite) }
}

/// The number of a float of 16 bits.
fn half(bits: u16) -> f64 {
    let exponent = i32::from(bits >> 10 & 0x1f);
    let mantissa = f64::from(bits & 0x3ff);
    let magnitude = match exponent {
        0 => mantissa * 2_f64.powi(-24),
        31 => f64::INFINITY,
        _ => (mantissa + 1024.0) * 2_f64.powi(exponent - 25),
    };
    if bits & 0x8000 == 0 { magnitude } else { -magnitude }
}

fn write_head(bytes: &mut Vec<u8>, major: u8, argument: u64) {
    let major = major << 5;
    match argument {
        0..=23 => bytes.push(major | argument as u8),
        24..=0xff => bytes.extend_from_slice(&[major | 24, argument as u8]),
        0x100..=0xffff => {
            bytes.push(major | 25);
            bytes.extend_from_slice(&(argument as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            bytes.push(major | 26);
            bytes.extend_from_slice(&(argument as u32).to_be_bytes());
        }
        _ => {
            bytes.push(major | 27);
            bytes.extend_from_slice(&argument.to_be_bytes());
        }
    }
}

fn write_text(bytes: &mut Vec<u8>, text: &str) {
    write_head(bytes, TEXT, text.len() as u64);
    bytes.extend_from_slice(text.as_bytes());
}

fn write_map(bytes: &mut Vec<u8>, map: &Map) {
    write_head(bytes, MAP, map.len() as u64);
    for (name, value) in map.iter() {
        write_text(bytes, name);
        write_value(bytes, value);
    }
}

fn write_value(bytes: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => bytes.push(NULL),
        Value::Bool(flag) => bytes.push(if *flag { TRUE } else { FALSE }),
        // The complement of a negative number is what CBOR counts: -1 is 0.
        Value::Int(int) if *int < 0 => write_head(bytes, NEGATIVE, !*int as u64),
        Value::Int(int) => write_head(bytes, UNSIGNED, *int as u64),
        Value::UInt(int) => write_head(bytes, UNSIGNED, *int),
        Value::Float(float) if f64::from(*float as f32) == *float => {
            bytes.push(FLOAT32);
            bytes.extend_from_slice(&(*float as f32).to_be_bytes());
        }
        Value::Float(float) => {
            bytes.push(FLOAT64);
            bytes.extend_from_slice(&float.to_be_bytes());
        }
        Value::Text(text) => write_text(bytes, text),
        Value::List(list) => {
            write_head(bytes, ARRAY, list.len() as u64);
            for value in list {
                write_value(bytes, value);
            }
        }
        Value::Map(map) => write_map(bytes, map),
    }
}

#[cfg(test)]
mod tests;
