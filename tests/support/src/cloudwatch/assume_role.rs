//! The one call of the token service that readers in another account need: `AssumeRole` over the query protocol, answered
//! on the port of the logs, so that a test may name it as the token service's endpoint too.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Call, Outcome, Shared};
use crate::http_server::{Reply, Request};

/// The access key of the credentials that a role has, with which calls are then signed.
pub const ROLE_ACCESS_KEY: &str = "ASIAROLE";

/// Whether the request is for the token service.
pub(super) fn is_asked_for(request: &Request) -> bool {
    request.header("content-type").starts_with("application/x-www-form-urlencoded")
}

pub(super) fn answer(shared: &Shared, request: &Request) -> Reply {
    let form = read_form(&String::from_utf8_lossy(&request.body));
    let operation = form.get("Action").cloned().unwrap_or_default();
    let role = form.get("RoleArn").cloned().unwrap_or_default();
    let is_known = operation == "AssumeRole" && role.starts_with("arn:aws:iam::");
    let call = Call {
        operation,
        parameters: form.into_iter().map(|(name, value)| (name, Value::from(value))).collect(),
        access_key: super::answer::access_key(request.header("authorization")),
        at: shared.started.elapsed(),
        outcome: if is_known { Outcome::Role } else { Outcome::Error("InvalidAction".to_owned()) },
    };
    shared.calls.lock().expect("no thread panicked with it").push(call);
    shared.called.notify_all();
    if !is_known {
        let body = "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidAction</Code><Message>this fake knows \
                    AssumeRole only</Message></Error></ErrorResponse>";
        return Reply::new(400, "text/xml", body);
    }
    let body = format!(
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><AssumedRoleUser>\
         <Arn>{role}/session</Arn><AssumedRoleId>AROAROLE:session</AssumedRoleId></AssumedRoleUser><Credentials>\
         <AccessKeyId>{ROLE_ACCESS_KEY}</AccessKeyId><SecretAccessKey>role secret</SecretAccessKey>\
         <SessionToken>role token</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
         </AssumeRoleResult></AssumeRoleResponse>"
    );
    Reply::new(200, "text/xml", body)
}

/// `a=1&b=x%2Fy+z`, decoded.
fn read_form(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let code = code.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (first, code) {
            (b'%', Some(code)) => {
                bytes.push(code);
                rest = &after[2..];
            }
            _ => {
                bytes.push(if *first == b'+' { b' ' } else { *first });
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded() {
        let form = read_form("Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fx&Name=a+b%");
        assert_eq!(form["RoleArn"], "arn:aws:iam::1:role/x");
        assert_eq!(form["Name"], "a b%");
    }
}
