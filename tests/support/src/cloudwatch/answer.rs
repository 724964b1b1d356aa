//! Answers one call: the protocol, the checks of parameters, paging.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::assume_role;
use super::faults::{Fault, Faults};
use super::store::{Pattern, Place, Question, Store};
use super::{ACCOUNT, Call, Outcome, REGION, Shared};
use crate::http_server::{Reply, Request};

/// A page holds at most this many bytes of events ...
const PAGE_BYTES: usize = 1_048_576;
/// ... of which each counts this many beside its message.
const EVENT_BYTES: usize = 26;

/// The service's state.
#[derive(Default)]
pub(super) struct Service {
    pub(super) store: Store,
    pub(super) tokens: HashMap<String, Token>,
    tokens_made: u64,
}

/// What a token stands for.
pub(super) struct Token {
    /// The parameters of the question that it belongs to, without token and limit.
    question: Value,
    beyond: Option<Place>,
    empty_pages_left: usize,
    made: Instant,
    made_at_call: u64,
}

/// An error's HTTP status, type and message.
struct Refusal(u16, &'static str, String);

pub(super) async fn answer(shared: Arc<Shared>, request: Request) -> Reply {
    if assume_role::is_asked_for(&request) {
        return assume_role::answer(&shared, &request);
    }
    let operation = request.header("x-amz-target").trim_start_matches("Logs_20140328.").to_owned();
    let parameters: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let (reply, outcome, wait) = decide(&shared, &operation, &parameters, &request);
    if let Some(wait) = wait {
        tokio::time::sleep(wait).await;
    }
    let call = Call {
        operation,
        parameters,
        access_key: access_key(request.header("authorization")),
        at: shared.started.elapsed(),
        outcome,
    };
    shared.calls.lock().expect("no thread panicked with it").push(call);
    shared.called.notify_all();
    reply
}

fn decide(
    shared: &Shared,
    operation: &str,
    parameters: &Value,
    request: &Request,
) -> (Reply, Outcome, Option<Duration>) {
    let mut service = shared.service.lock().expect("no thread panicked with it");
    let mut faults = shared.faults.lock().expect("no thread panicked with it");
    service.store.calls += 1;
    let mut fault = faults.script.pop_front().flatten();
    if fault.is_none() && faults.throttle.as_mut().is_some_and(|bucket| !bucket.take()) {
        fault = Some(Fault::Throttling);
    }
    let group = parameters["logGroupName"].as_str().or(parameters["logGroupIdentifier"].as_str());
    if fault.is_none()
        && let Some(group) = group
    {
        fault = faults.groups.get(group_name(group)).cloned();
    }
    if fault == Some(Fault::InvalidParameter) && parameters["nextToken"].is_null() {
        fault = None;
    }
    let refused = faults.signature.as_ref().and_then(|verifier| verifier.verify(request).err());
    let answered = match (refused, &fault) {
        (Some(reason), _) => Err(Refusal(400, "InvalidSignatureException", reason)),
        (None, Some(fault)) => match refusal(fault) {
            Some(refusal) => Err(refusal),
            None => service.answer(operation, parameters, &faults),
        },
        (None, None) => service.answer(operation, parameters, &faults),
    };
    let wait = if let Some(Fault::Slow(wait)) = fault { Some(wait) } else { None };
    match (answered, fault) {
        (_, Some(Fault::Reset)) => (Reply::Reset, Outcome::Cut, None),
        (_, Some(Fault::BadGateway)) => {
            let page = "<html><body><h1>502 Bad Gateway</h1></body></html>";
            (Reply::new(502, "text/html", page), Outcome::Error("502".to_owned()), None)
        }
        (_, Some(Fault::Text(text))) => {
            let reply = Reply::new(200, "application/x-amz-json-1.1", text);
            (reply, Outcome::Error("200".to_owned()), None)
        }
        (Ok((body, _)), Some(Fault::Cut)) => {
            let length = body.to_string().len() / 2;
            match json_reply(200, &body) {
                Reply::Whole(response) => (Reply::Cut(response, length), Outcome::Cut, None),
                reply => (reply, Outcome::Cut, None),
            }
        }
        (Ok((body, outcome)), _) => (json_reply(200, &body), outcome, wait),
        (Err(Refusal(status, kind, message)), _) => {
            let body = json!({"__type": kind, "message": message});
            (json_reply(status, &body), Outcome::Error(kind.to_owned()), wait)
        }
    }
}

/// The faults that are answers of the service.
fn refusal(fault: &Fault) -> Option<Refusal> {
    let (status, kind, message) = match fault {
        Fault::Throttling => (400, "ThrottlingException", "Rate exceeded"),
        Fault::ServiceUnavailable => (503, "ServiceUnavailableException", "Service is unavailable"),
        Fault::InternalFailure => {
            (500, "InternalFailure", "We encountered an internal error. Please try again.")
        }
        Fault::AccessDenied => (
            400,
            "AccessDeniedException",
            "User: arn:aws:iam::123456789012:user/weir is not authorized to perform: logs:FilterLogEvents",
        ),
        Fault::ResourceNotFound => {
            (400, "ResourceNotFoundException", "The specified log group does not exist.")
        }
        Fault::InvalidParameter => (400, "InvalidParameterException", "The specified nextToken is invalid."),
        Fault::ExpiredCredentials => {
            (400, "ExpiredTokenException", "The security token included in the request is expired")
        }
        Fault::Reset | Fault::Cut | Fault::BadGateway | Fault::Text(_) | Fault::Slow(_) => return None,
    };
    Some(Refusal(status, kind, message.to_owned()))
}

impl Service {
    fn answer(
        &mut self,
        operation: &str,
        parameters: &Value,
        faults: &Faults,
    ) -> Result<(Value, Outcome), Refusal> {
        match operation {
            "FilterLogEvents" => self.filter_log_events(parameters, faults),
            "DescribeLogGroups" => self.describe_log_groups(parameters),
            _ => Err(Refusal(400, "UnknownOperationException", format!("no operation {operation:?}"))),
        }
    }

    fn filter_log_events(
        &mut self,
        parameters: &Value,
        faults: &Faults,
    ) -> Result<(Value, Outcome), Refusal> {
        let group_name = requested_group(parameters)?;
        let question = read_question(parameters)?;
        let limit = match &parameters["limit"] {
            Value::Null => 10_000,
            limit => match limit.as_u64() {
                Some(limit @ 1..=10_000) => limit as usize,
                _ => return Err(invalid("limit must be between 1 and 10000")),
            },
        };
        let limit = limit.min(faults.short_pages.unwrap_or(usize::MAX)).max(1);

        // A token is good for the parameters that it was made for, and for no others.
        let asked = without(parameters, &["nextToken", "limit"]);
        let (mut beyond, mut empty_pages_left) = (None, faults.empty_pages);
        if let Some(text) = parameters["nextToken"].as_str() {
            let token = self.tokens.get(text).filter(|token| {
                token.question == asked
                    && faults.token_life.is_none_or(|life| token.made.elapsed() < life)
                    && faults
                        .token_life_calls
                        .is_none_or(|life| self.store.calls - token.made_at_call <= life)
            });
            let token = token.ok_or_else(|| invalid("The specified nextToken is invalid."))?;
            (beyond, empty_pages_left) = (token.beyond, token.empty_pages_left);
        }
        let group = self.store.groups.get(&group_name).ok_or_else(|| {
            Refusal(400, "ResourceNotFoundException", "The specified log group does not exist.".to_owned())
        })?;
        if Store::missing_stream(group, &question.streams).is_some() {
            let message = "The specified log stream does not exist.".to_owned();
            return Err(Refusal(400, "ResourceNotFoundException", message));
        }

        let mut events = Vec::new();
        let mut more = true;
        if empty_pages_left > 0 {
            empty_pages_left -= 1;
        } else {
            let mut bytes = 0;
            let mut found = self.store.find(group, &question, beyond).peekable();
            while let Some((place, event)) = found.peek() {
                bytes += event.message.len() + EVENT_BYTES;
                if events.len() >= limit || (bytes > PAGE_BYTES && !events.is_empty()) {
                    break;
                }
                let entry = json!({
                    "logStreamName": event.stream,
                    "timestamp": place.0,
                    "message": event.message,
                    "ingestionTime": place.1,
                    "eventId": event.id,
                });
                events.extend(std::iter::repeat_n(entry, 1 + faults.repeats));
                beyond = Some(*place);
                found.next();
            }
            more = found.peek().is_some() || (faults.trailing_token && !events.is_empty());
            empty_pages_left = faults.empty_pages;
        }
        let outcome = Outcome::Events(events.len(), more);
        let mut body = json!({"events": events, "searchedLogStreams": []});
        if more {
            self.tokens_made += 1;
            // Opaque: nothing of what it stands for can be read from it.
            let text = format!("Bxkq6kVGFtq2y_{:016x}", self.tokens_made.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            body["nextToken"] = Value::from(text.clone());
            let (made, made_at_call) = (Instant::now(), self.store.calls);
            self.tokens.insert(text, Token { question: asked, beyond, empty_pages_left, made, made_at_call });
        }
        Ok((body, outcome))
    }

    fn describe_log_groups(&mut self, parameters: &Value) -> Result<(Value, Outcome), Refusal> {
        let limit = match &parameters["limit"] {
            Value::Null => 50,
            limit => match limit.as_u64() {
                Some(limit @ 1..=50) => limit as usize,
                _ => return Err(invalid("limit must be between 1 and 50")),
            },
        };
        let prefix = parameters["logGroupNamePrefix"].as_str().unwrap_or_default();
        let part = parameters["logGroupNamePattern"].as_str().unwrap_or_default();
        if !prefix.is_empty() && !part.is_empty() {
            return Err(invalid("logGroupNamePrefix and logGroupNamePattern are mutually exclusive"));
        }
        let beyond = parameters["nextToken"].as_str();
        let mut rows = self
            .store
            .groups
            .iter()
            .filter(|(name, _)| name.starts_with(prefix) && name.contains(part))
            .filter(|(name, _)| beyond.is_none_or(|beyond| name.as_str() > beyond));
        let page: Vec<_> = rows.by_ref().take(limit).collect();
        let groups: Vec<Value> = page
            .iter()
            .map(|(name, group)| {
                let arn = format!("arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}");
                json!({
                    "logGroupName": name, "creationTime": group.created, "metricFilterCount": 0, "storedBytes": 0,
                    "arn": format!("{arn}:*"), "logGroupArn": arn, "logGroupClass": "STANDARD",
                })
            })
            .collect();
        let outcome = Outcome::Groups(groups.len());
        let mut body = json!({"logGroups": groups});
        if rows.next().is_some()
            && let Some((name, _)) = page.last()
        {
            body["nextToken"] = Value::from(name.as_str());
        }
        Ok((body, outcome))
    }
}

fn requested_group(parameters: &Value) -> Result<String, Refusal> {
    match (parameters["logGroupName"].as_str(), parameters["logGroupIdentifier"].as_str()) {
        (Some(name), None) => Ok(name.to_owned()),
        (None, Some(identifier)) => Ok(group_name(identifier).to_owned()),
        _ => Err(invalid("exactly one of logGroupName and logGroupIdentifier is required")),
    }
}

/// The name in `arn:aws:logs:REGION:ACCOUNT:log-group:NAME`; a name is itself.
fn group_name(identifier: &str) -> &str {
    if !identifier.starts_with("arn:") {
        return identifier;
    }
    identifier.splitn(7, ':').nth(6).map_or(identifier, |name| name.trim_end_matches(":*"))
}

fn read_question(parameters: &Value) -> Result<Question, Refusal> {
    let time = |name: &str, absent: i64| match &parameters[name] {
        Value::Null => Ok(absent),
        value => value
            .as_i64()
            .filter(|time| *time >= 0)
            .ok_or_else(|| invalid(&format!("{name} must be 0 or more"))),
    };
    let mut streams = Vec::new();
    for stream in parameters["logStreamNames"].as_array().into_iter().flatten() {
        streams.push(stream.as_str().unwrap_or_default().to_owned());
    }
    let stream_prefix = parameters["logStreamNamePrefix"].as_str().map(str::to_owned);
    if !streams.is_empty() && stream_prefix.is_some() {
        return Err(invalid("logStreamNames and logStreamNamePrefix are mutually exclusive"));
    }
    if streams.len() > 100 {
        return Err(invalid("logStreamNames must have at most 100 names"));
    }
    if parameters["startFromHead"] == Value::Bool(false) {
        return Err(invalid("this fake knows ascending order only"));
    }
    let pattern = Pattern::parse(parameters["filterPattern"].as_str().unwrap_or_default())
        .ok_or_else(|| invalid("this fake knows filter patterns of plain terms only"))?;
    let (from, to) = (time("startTime", 0)?, time("endTime", i64::MAX)?);
    Ok(Question { from, to, streams, stream_prefix, pattern })
}

fn invalid(message: &str) -> Refusal {
    Refusal(400, "InvalidParameterException", message.to_owned())
}

fn without(parameters: &Value, names: &[&str]) -> Value {
    let fields = parameters.as_object().into_iter().flatten();
    let kept = fields.filter(|(name, _)| !names.contains(&name.as_str()));
    Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>())
}

fn json_reply(status: u16, body: &Value) -> Reply {
    Reply::new(status, "application/x-amz-json-1.1", body.to_string())
        .header("x-amzn-requestid", "00000000-0000-4000-8000-000000000000")
}

/// `AWS4-HMAC-SHA256 Credential=AKID/20200223/…` → `AKID`.
pub(super) fn access_key(authorization: &str) -> String {
    let after = authorization.split_once("Credential=").map_or("", |(_, after)| after);
    after.split('/').next().unwrap_or_default().to_owned()
}
