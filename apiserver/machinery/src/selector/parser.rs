//! The grammar of label selectors.

use super::SelectorError;
use super::lexer::{Kind, Token, tokens};
use super::requirement::{Operator, Requirement};
use crate::field::Error;
use crate::field::Path;
use crate::limits::SELECTOR_BYTES_MAX;
use crate::validate::qualified_name;

const OPERATORS: &str = "in, notin, =, ==, !=, gt, lt";

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

/// Parses a selector to its conditions, sorted by key.
pub(super) fn parse(selector: &str) -> Result<Vec<Requirement>, SelectorError> {
    if selector.len() > SELECTOR_BYTES_MAX {
        let message = format!("selector is longer than {SELECTOR_BYTES_MAX} bytes");
        return Err(SelectorError::new(message));
    }
    let mut parser = Parser {
        tokens: tokens(selector),
        at: 0,
    };
    let mut requirements = parser.requirements()?;
    requirements.sort_by(|a, b| a.key().cmp(b.key()));
    Ok(requirements)
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.at]
    }

    /// The next kind where a key or value may stand: `in` and `notin` are words there.
    fn peek_value(&self) -> Kind {
        as_value(self.peek().kind)
    }

    /// The next token; the end stays where it is.
    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        if token.kind != Kind::End {
            self.at += 1;
        }
        token
    }

    fn requirements(&mut self) -> Result<Vec<Requirement>, SelectorError> {
        let mut requirements = Vec::new();
        loop {
            match self.peek_value() {
                Kind::Identifier | Kind::Not => {}
                Kind::End => return Ok(requirements),
                _ => {
                    return Err(SelectorError::new(format!(
                        "found '{}', expected: !, identifier, or 'end of string'",
                        self.peek().text
                    )));
                }
            }
            let requirement = self
                .requirement()
                .map_err(|e| SelectorError::new(format!("unable to parse requirement: {e}")))?;
            requirements.push(requirement);
            let token = self.next();
            match token.kind {
                Kind::End => return Ok(requirements),
                Kind::Comma => {}
                _ => {
                    return Err(SelectorError::new(format!(
                        "found '{}', expected: ',' or 'end of string'",
                        token.text
                    )));
                }
            }
            if !matches!(self.peek_value(), Kind::Identifier | Kind::Not) {
                return Err(SelectorError::new(format!(
                    "found '{}', expected: identifier after ','",
                    self.peek().text
                )));
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        let mut token = self.next();
        let negated = token.kind == Kind::Not;
        if negated {
            token = self.next();
        }
        if as_value(token.kind) != Kind::Identifier {
            let message = format!("found '{}', expected: identifier", token.text);
            return Err(SelectorError::new(message));
        }
        let key = token.text;
        let messages = qualified_name(&key);
        if !messages.is_empty() {
            // Upstream passes no path, which prints so.
            let error = Error::invalid(&Path::new("<nil>"), key, messages.join("; "));
            return Err(SelectorError::new(error.to_string()));
        }
        let alone = matches!(self.peek_value(), Kind::End | Kind::Comma);
        let (operator, values) = if negated {
            (Operator::DoesNotExist, Vec::new())
        } else if alone {
            (Operator::Exists, Vec::new())
        } else {
            self.operator_and_values()?
        };
        Requirement::new(key, operator, values).map_err(|e| SelectorError::new(e.to_string()))
    }

    fn operator_and_values(&mut self) -> Result<(Operator, Vec<String>), SelectorError> {
        let token = self.next();
        let operator = match token.kind {
            Kind::In => Operator::In,
            Kind::NotIn => Operator::NotIn,
            Kind::Equals => Operator::Equals,
            Kind::DoubleEquals => Operator::DoubleEquals,
            Kind::NotEquals => Operator::NotEquals,
            Kind::GreaterThan => Operator::GreaterThan,
            Kind::LessThan => Operator::LessThan,
            _ => {
                let message = format!("found '{}', expected: {OPERATORS}", token.text);
                return Err(SelectorError::new(message));
            }
        };
        let values = match operator {
            Operator::In | Operator::NotIn => self.value_list()?,
            _ => vec![self.single_value()?],
        };
        Ok((operator, values))
    }

    fn single_value(&mut self) -> Result<String, SelectorError> {
        if matches!(self.peek_value(), Kind::End | Kind::Comma) {
            return Ok(String::new());
        }
        let token = self.next();
        if as_value(token.kind) == Kind::Identifier {
            return Ok(token.text);
        }
        let message = format!("found '{}', expected: identifier", token.text);
        Err(SelectorError::new(message))
    }

    /// `(a,b)`; nothing before or after a comma is the empty value.
    fn value_list(&mut self) -> Result<Vec<String>, SelectorError> {
        let token = self.next();
        if token.kind != Kind::OpenPar {
            let message = format!("found '{}' expected: '('", token.text);
            return Err(SelectorError::new(message));
        }
        match self.peek_value() {
            Kind::ClosedPar => {
                self.next();
                return Ok(vec![String::new()]);
            }
            Kind::Identifier | Kind::Comma => {}
            _ => {
                return Err(SelectorError::new(format!(
                    "found '{}', expected: ',', ')' or identifier",
                    self.peek().text
                )));
            }
        }
        let values = self.identifiers()?;
        // The list stops only before a closing parenthesis.
        self.next();
        Ok(values)
    }

    fn identifiers(&mut self) -> Result<Vec<String>, SelectorError> {
        let mut values = Vec::new();
        loop {
            let token = self.next();
            match as_value(token.kind) {
                Kind::Identifier => {
                    values.push(token.text);
                    match self.peek_value() {
                        Kind::Comma => {}
                        Kind::ClosedPar => return Ok(values),
                        _ => {
                            return Err(SelectorError::new(format!(
                                "found '{}', expected: ',' or ')'",
                                self.peek().text
                            )));
                        }
                    }
                }
                Kind::Comma => {
                    if values.is_empty() || self.peek_value() == Kind::Comma {
                        values.push(String::new());
                    }
                    if self.peek_value() == Kind::ClosedPar {
                        values.push(String::new());
                        return Ok(values);
                    }
                }
                _ => {
                    let message = format!("found '{}', expected: ',', or identifier", token.text);
                    return Err(SelectorError::new(message));
                }
            }
        }
    }
}

fn as_value(kind: Kind) -> Kind {
    match kind {
        Kind::In | Kind::NotIn => Kind::Identifier,
        other => other,
    }
}
