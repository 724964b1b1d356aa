//! An event as a tree, for the native harness: simple rather than fast.

use serde_json::{Map, Value as Json};

use crate::incoming::KERNEL_PLACE;
use crate::json;
use crate::native;
use crate::outgoing::Placed;
use crate::value::Value;

/// A map, or anything else.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Map(Vec<(String, Node)>),
    Leaf(Leaf),
}

/// A value with its own text.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Leaf {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Timestamp(i64),
    Text(String),
    Json(String),
}

impl Leaf {
    pub(super) fn placed(&self, text: &mut String) -> Placed {
        let mut place = |part: &str| {
            text.push_str(part);
            ((text.len() - part.len()) as u32, part.len() as u32)
        };
        match self {
            Leaf::Null => Placed::Null,
            Leaf::Boolean(value) => Placed::Boolean(*value),
            Leaf::Integer(value) => Placed::Integer(*value),
            Leaf::Float(value) => Placed::Float(*value),
            Leaf::Timestamp(value) => Placed::Timestamp(*value),
            Leaf::Text(value) => {
                let (start, length) = place(value);
                Placed::Text(start, length)
            }
            Leaf::Json(value) => {
                let (start, length) = place(value);
                Placed::Json(start, length)
            }
        }
    }

    /// A value of an answer: its places lie in the batch's text, the answer's own, or a kernel's.
    pub(super) fn from_placed(placed: Placed, batch_text: &str, own_text: &str) -> Self {
        let text = |start: u32, length: u32| {
            if start & KERNEL_PLACE != 0 {
                return native::kernel_text(start, length).expect("a place in a kernel's text");
            }
            let (start, length) = (start as usize, length as usize);
            let part = match start.checked_sub(batch_text.len()) {
                None => batch_text.get(start..start + length),
                Some(start) => own_text.get(start..start + length),
            };
            part.expect("a place lies in one of the texts, on character boundaries").to_owned()
        };
        match placed {
            Placed::Null => Leaf::Null,
            Placed::Boolean(value) => Leaf::Boolean(value),
            Placed::Integer(value) => Leaf::Integer(value),
            Placed::Float(value) => Leaf::Float(value),
            Placed::Timestamp(value) => Leaf::Timestamp(value),
            Placed::Text(start, length) => Leaf::Text(text(start, length)),
            Placed::Json(start, length) => Leaf::Json(text(start, length)),
        }
    }

    fn value(&self) -> Value<'_> {
        match self {
            Leaf::Null => Value::Null,
            Leaf::Boolean(value) => Value::Boolean(*value),
            Leaf::Integer(value) => Value::Integer(*value),
            Leaf::Float(value) => Value::Float(*value),
            Leaf::Timestamp(value) => Value::Timestamp(*value),
            Leaf::Text(value) => Value::Text(value),
            Leaf::Json(value) => Value::Json(value),
        }
    }
}

impl Node {
    pub(super) fn from_json(value: &Json) -> Self {
        if let Json::Object(map) = value {
            return Node::Map(
                map.iter().map(|(name, value)| (name.clone(), Node::from_json(value))).collect(),
            );
        }
        let mut text = String::new();
        Node::Leaf(match json::from_json(value, &mut text) {
            Value::Null => Leaf::Null,
            Value::Boolean(value) => Leaf::Boolean(value),
            Value::Integer(value) => Leaf::Integer(value),
            Value::Float(value) => Leaf::Float(value),
            Value::Timestamp(value) => Leaf::Timestamp(value),
            Value::Text(value) => Leaf::Text(value.to_owned()),
            Value::Json(value) => Leaf::Json(value.to_owned()),
            Value::Object => Leaf::Json("{}".to_owned()),
        })
    }

    /// A leaf; a map in JSON becomes one.
    pub(super) fn from_leaf(leaf: Leaf) -> Self {
        if let Leaf::Json(text) = &leaf {
            let value: Json = serde_json::from_str(text).expect("a JSON value is JSON");
            assert!(
                !value.is_string() && !value.is_null() && !value.is_boolean(),
                "{text} is a kind of its own"
            );
            if value.is_object() {
                return Node::from_json(&value);
            }
        }
        Node::Leaf(leaf)
    }

    pub(super) fn to_json(&self) -> Json {
        match self {
            Node::Map(map) => Json::Object(
                map.iter().map(|(name, node)| (name.clone(), node.to_json())).collect::<Map<_, _>>(),
            ),
            Node::Leaf(leaf) => json::to_json(leaf.value()),
        }
    }

    /// What a path leads to; into lists, too.
    pub(super) fn find(&self, path: &[String]) -> Option<Node> {
        let Some((fragment, rest)) = path.split_first() else { return Some(self.clone()) };
        match self {
            Node::Map(map) => map.iter().find(|(name, _)| name == fragment)?.1.find(rest),
            Node::Leaf(Leaf::Json(text)) => {
                let value: Json = serde_json::from_str(text).ok()?;
                json::find(&value, path).map(Node::from_json)
            }
            Node::Leaf(_) => None,
        }
    }

    pub(super) fn get_mut(&mut self, path: &[&str]) -> Option<&mut Node> {
        let Some((fragment, rest)) = path.split_first() else { return Some(self) };
        match self {
            Node::Map(map) => map.iter_mut().find(|(name, _)| name == fragment)?.1.get_mut(rest),
            Node::Leaf(_) => None,
        }
    }

    /// Puts a node where a path leads; on the way are maps only, or a filter wrote where it must not.
    pub(super) fn set<T: AsRef<str>>(&mut self, path: &[T], node: Node) {
        let Some((fragment, rest)) = path.split_first() else {
            *self = node;
            return;
        };
        let Node::Map(map) = self else {
            panic!("{:?} is set below {self:?}, which is no map", fragment.as_ref())
        };
        let fragment = fragment.as_ref();
        let at = map.iter().position(|(name, _)| name == fragment).unwrap_or_else(|| {
            map.push((fragment.to_owned(), Node::Map(Vec::new())));
            map.len() - 1
        });
        map[at].1.set(rest, node);
    }

    pub(super) fn remove(&mut self, path: &[String]) {
        let (Node::Map(map), Some((fragment, rest))) = (self, path.split_first()) else { return };
        if rest.is_empty() {
            map.retain(|(name, _)| name != fragment);
        } else if let Some((_, node)) = map.iter_mut().find(|(name, _)| name == fragment) {
            node.remove(rest);
        }
    }

    /// Adds the paths of all leaves and empty maps that are not in `paths` yet.
    pub(super) fn leaf_paths(&self, here: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
        if let Node::Map(map) = self
            && (!map.is_empty() || here.is_empty())
        {
            for (name, node) in map {
                here.push(name.clone());
                node.leaf_paths(here, paths);
                here.pop();
            }
        } else if !paths.contains(here) {
            paths.push(here.clone());
        }
    }
}
