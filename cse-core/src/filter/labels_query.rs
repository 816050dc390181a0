//! Labels queries (`lbq`, TS-0004 §7.3.3.17.16): expressions over labels of the forms `key` and `key:value`.
//!
//! ```text
//! color           has the key, with or without value
//! NT color        has it not
//! color EQ red    has color:red; also written color:red
//! color NE red    has the key with a value, and never this one
//! color IN (red, green)   has one of these
//! color NI (red, green)   has the key with a value, and never one of these
//! ```
//!
//! Several expressions, separated by commas or spaces, are alternatives.

use crate::value::Text;

const HELP: &str = "write key, NT key, key EQ value, key NE value, key IN (v1, v2) or key NI (v1, v2)";

/// A parsed query; one expression must hold.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LabelsQuery(Vec<Expression>);

#[derive(Clone, Debug, PartialEq)]
enum Expression {
    Has(Text),
    HasNot(Text),
    In(Text, Vec<Text>),
    NotIn(Text, Vec<Text>),
}

impl LabelsQuery {
    /// # Errors
    /// What is wrong, as the end of a sentence.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = Tokens { rest: text };
        let mut expressions = Vec::new();
        loop {
            match tokens.next() {
                Some(Token::Comma) if !expressions.is_empty() => {}
                Some(Token::Word(word)) => expressions.push(expression(word, &mut tokens)?),
                Some(other) => return Err(format!("has '{}' where an expression begins; {HELP}", other.text())),
                None if expressions.is_empty() => return Err(format!("is empty; {HELP}")),
                None => return Ok(Self(expressions)),
            }
        }
    }

    /// Whether a resource with these labels is meant. One without labels has no key.
    pub(super) fn matches<'a, L: Iterator<Item = &'a str>>(&self, labels: impl Fn() -> L) -> bool {
        self.0.iter().any(|expression| expression.holds(labels()))
    }
}

impl Expression {
    fn holds<'a>(&self, mut labels: impl Iterator<Item = &'a str>) -> bool {
        match self {
            Self::Has(wanted) => labels.any(|label| split(label).0 == wanted),
            Self::HasNot(unwanted) => labels.all(|label| split(label).0 != unwanted),
            Self::In(key, wanted) => values(key, labels).any(|value| wanted.iter().any(|wanted| wanted == value)),
            Self::NotIn(key, unwanted) => {
                let mut values = values(key, labels).peekable();
                values.peek().is_some() && values.all(|value| unwanted.iter().all(|unwanted| unwanted != value))
            }
        }
    }
}

/// Key and value of a label.
fn split(label: &str) -> (&str, Option<&str>) {
    label.split_once(':').map_or((label, None), |(key, value)| (key, Some(value)))
}

fn values<'a>(key: &str, labels: impl Iterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    labels.filter_map(move |label| split(label).1.filter(|_| split(label).0 == key))
}

fn expression(word: &str, tokens: &mut Tokens<'_>) -> Result<Expression, String> {
    if word == "NT" {
        let key = match tokens.next() {
            Some(Token::Word(key)) => key_of(key)?,
            _ => return Err(format!("has NT without a key; {HELP}")),
        };
        return Ok(Expression::HasNot(key));
    }
    let operator = tokens.take_operator();
    if operator.is_none()
        && let (key, Some(value)) = split(word)
    {
        let key = key_of(key)?;
        return match value {
            "" => Err(format!("has '{word}' without a value; {HELP}")),
            value => Ok(Expression::In(key, vec![value.into()])),
        };
    }
    let key = key_of(word)?;
    match operator {
        None => Ok(Expression::Has(key)),
        Some(Operator::Eq) => Ok(Expression::In(key, vec![value(word, tokens)?])),
        Some(Operator::Ne) => Ok(Expression::NotIn(key, vec![value(word, tokens)?])),
        Some(Operator::In) => Ok(Expression::In(key, value_list(word, tokens)?)),
        Some(Operator::Ni) => Ok(Expression::NotIn(key, value_list(word, tokens)?)),
    }
}

fn key_of(word: &str) -> Result<Text, String> {
    if word.is_empty() || word.contains(':') || word == "NT" || Operator::of(word).is_some() {
        return Err(format!("has '{word}' as a key, which cannot contain ':' or be an operator; {HELP}"));
    }
    Ok(word.into())
}

fn value(key: &str, tokens: &mut Tokens<'_>) -> Result<Text, String> {
    match tokens.next() {
        Some(Token::Word(value)) => Ok(value.into()),
        _ => Err(format!("has no value to compare '{key}' with; {HELP}")),
    }
}

fn value_list(key: &str, tokens: &mut Tokens<'_>) -> Result<Vec<Text>, String> {
    let problem = || format!("has no list like (v1, v2) to compare '{key}' with; {HELP}");
    if tokens.next() != Some(Token::Open) {
        return Err(problem());
    }
    let mut values = Vec::new();
    loop {
        match tokens.next() {
            Some(Token::Word(value)) => values.push(value.into()),
            Some(Token::Comma) if !values.is_empty() => {}
            Some(Token::Close) if !values.is_empty() => return Ok(values),
            _ => return Err(problem()),
        }
    }
}

#[derive(Clone, Copy)]
enum Operator {
    Eq,
    Ne,
    In,
    Ni,
}

impl Operator {
    fn of(word: &str) -> Option<Self> {
        match word {
            "EQ" => Some(Self::Eq),
            "NE" => Some(Self::Ne),
            "IN" => Some(Self::In),
            "NI" => Some(Self::Ni),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token<'a> {
    Word(&'a str),
    Open,
    Close,
    Comma,
}

impl<'a> Token<'a> {
    fn text(self) -> &'a str {
        match self {
            Token::Word(word) => word,
            Token::Open => "(",
            Token::Close => ")",
            Token::Comma => ",",
        }
    }
}

struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        self.rest = self.rest.trim_start();
        let token = match self.rest.chars().next()? {
            '(' => Token::Open,
            ')' => Token::Close,
            ',' => Token::Comma,
            _ => {
                let ends = |c: char| c.is_whitespace() || "(),".contains(c);
                Token::Word(&self.rest[..self.rest.find(ends).unwrap_or(self.rest.len())])
            }
        };
        self.rest = &self.rest[token.text().len()..];
        Some(token)
    }

    /// The next token, if it is an operator.
    fn take_operator(&mut self) -> Option<Operator> {
        let before = self.rest;
        let operator = match self.next() {
            Some(Token::Word(word)) => Operator::of(word),
            _ => None,
        };
        if operator.is_none() {
            self.rest = before;
        }
        operator
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn query(text: &str) -> LabelsQuery {
        LabelsQuery::parse(text).unwrap_or_else(|problem| panic!("{text}: {problem}"))
    }

    #[test]
    fn expressions_hold_or_not() {
        for (text, labels, holds) in [
            ("color", &["color"][..], true),
            ("color", &["color:red"], true),
            ("color", &["colors", "my:color"], false),
            ("color", &[], false),
            ("NT color", &["size:5"], true),
            ("NT color", &[], true),
            ("NT color", &["size:5", "color"], false),
            ("NT color", &["color:red"], false),
            ("color EQ red", &["color:red"], true),
            ("color:red", &["color:red"], true),
            ("color:red", &["color"], false),
            ("color EQ red", &["color:green", "color:red"], true),
            ("color EQ red", &["color", "red"], false),
            ("at EQ 12:30", &["at:12:30"], true),
            ("at:12:30", &["at:12:30"], true),
            ("color NE red", &["color:green"], true),
            ("color NE red", &["color:green", "color:red"], false),
            ("color NE red", &["color"], false),
            ("color NE red", &["size:5"], false),
            ("color NE red", &[], false),
            ("color IN (red, green)", &["color:green"], true),
            ("color IN(red,green)", &["color:red"], true),
            ("color IN ( red green )", &["color:blue"], false),
            ("color NI (red, green)", &["color:blue"], true),
            ("color NI (red, green)", &["color:blue", "color:red"], false),
            ("color NI (red, green)", &["color"], false),
            // Alternatives.
            ("color EQ red, size", &["size:5"], true),
            ("color EQ red size", &["size:5"], true),
            ("color IN (red,green), NT size", &["color:blue"], true),
            ("color EQ red, size", &["weight"], false),
            ("größe EQ groß", &["größe:groß"], true),
        ] {
            assert_eq!(query(text).matches(|| labels.iter().copied()), holds, "{text} for {labels:?}");
        }
    }

    #[test]
    fn what_is_no_query_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "empty"),
            ("  ", "empty"),
            (",color", "','"),
            ("(color)", "'('"),
            ("color)", "')'"),
            ("NT", "NT without a key"),
            ("NT color:red", "cannot contain ':'"),
            ("NT NT", "an operator"),
            ("EQ red", "'EQ' as a key"),
            ("color EQ", "no value to compare 'color' with"),
            ("color EQ (red)", "no value"),
            ("color:red EQ x", "cannot contain ':'"),
            ("color:", "without a value"),
            (":red", "'' as a key"),
            ("color IN red", "no list like (v1, v2)"),
            ("color IN ()", "no list"),
            ("color NI (red", "no list"),
            ("color NI (,red)", "no list"),
            ("color NI ((red))", "no list"),
        ] {
            let problem = LabelsQuery::parse(text).expect_err(text);
            assert!(problem.contains(reason), "{text}: {problem}");
            assert!(problem.contains("key NI (v1, v2)"), "{text}: {problem}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r"([a-c:é]|EQ|NE|IN|NI|NT|[ (),]){0,20}", label in "[a-c:]{0,4}") {
            if let Ok(query) = LabelsQuery::parse(&text) {
                query.matches(|| [label.as_str()].into_iter());
            }
        }

        #[test]
        fn opposites_never_agree(labels in prop::collection::vec("[ab](:[xy])?", 0..4), key in "[ab]", value in "[xy]") {
            let matches = |text: String| query(&text).matches(|| labels.iter().map(String::as_str));
            prop_assert_ne!(matches(key.clone()), matches(format!("NT {key}")));
            let (equal, unequal) = (matches(format!("{key} EQ {value}")), matches(format!("{key} NE {value}")));
            prop_assert!(!(equal && unequal));
            prop_assert_eq!(equal, matches(format!("{key} IN ({value})")));
            prop_assert_eq!(unequal, matches(format!("{key} NI ({value})")));
        }
    }
}
