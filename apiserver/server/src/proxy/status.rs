//! How a command ended, as its kubelet says and as its client is told.

use mainstay_machinery::status::StatusError;
use serde_json::{Value, json};

/// The reason of a command that ended with another code than 0.
const NON_ZERO: &str = "NonZeroExitCode";
/// The cause that has the code.
const EXIT_CODE: &str = "ExitCode";

/// What a kubelet's last word means. Nothing at all is success.
pub(super) fn decode(message: &[u8]) -> Value {
    if message.is_empty() {
        return success();
    }
    let status: Value = match serde_json::from_slice(message) {
        Ok(status) => status,
        Err(e) => {
            let text = String::from_utf8_lossy(message);
            return failed(&protocol(&format!("{e} in {text:?}")));
        }
    };
    match status["status"].as_str() {
        Some("Success") => success(),
        Some("Failure") if status["reason"] == NON_ZERO => match exit_code(&status) {
            Ok(code) => ended(code),
            Err(why) => failed(&protocol(&why)),
        },
        Some("Failure") => failed(status["message"].as_str().unwrap_or_default()),
        _ => failed(&protocol("unknown error")),
    }
}

fn protocol(why: &str) -> String {
    format!("error stream protocol error: {why}")
}

fn exit_code(status: &Value) -> Result<u8, String> {
    if status["details"].is_null() {
        return Err("details must be set".to_owned());
    }
    let mut causes = status["details"]["causes"].as_array().into_iter().flatten();
    let cause = causes.find(|cause| cause["reason"] == EXIT_CODE);
    let cause = cause.ok_or_else(|| format!("no {EXIT_CODE} cause given"))?;
    let text = cause["message"].as_str().unwrap_or_default();
    text.parse()
        .map_err(|_| format!("invalid exit code value {text:?}"))
}

fn success() -> Value {
    json!({ "metadata": {}, "status": "Success" })
}

fn ended(code: u8) -> Value {
    let text = "command terminated with non-zero exit code: command terminated with exit code";
    json!({
        "metadata": {},
        "status": "Failure",
        "message": format!("{text} {code}"),
        "reason": NON_ZERO,
        "details": { "causes": [{ "reason": EXIT_CODE, "message": code.to_string() }] },
    })
}

/// A command of which nobody knows how it ended.
pub(super) fn failed(why: &str) -> Value {
    let mut status = StatusError::internal(why).to_value();
    if let Some(fields) = status.as_object_mut() {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    status
}

/// What a server that does not change its protocol says of the reason.
pub(super) fn refusal(body: &[u8]) -> String {
    let told: Option<Value> = serde_json::from_slice(body).ok();
    let field = |name: &str| {
        let text = told.as_ref()?[name].as_str()?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let text = || match String::from_utf8_lossy(body).trim() {
        "" => "empty server response".to_owned(),
        text => text.to_owned(),
    };
    let message = field("message").or_else(|| field("error"));
    let message = message.unwrap_or_else(text);
    format!("unable to upgrade connection: {message}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_code_comes_through() {
        let told = json!({
            "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
            "message": "command terminated with non-zero exit code: exit status 3",
            "details": {"causes": [{"reason": "ExitCode", "message": "3"}]},
        });
        let status = decode(told.to_string().as_bytes());
        assert_eq!(status["reason"], "NonZeroExitCode");
        assert_eq!(status["details"]["causes"][0]["message"], "3");
        assert!(status.get("code").is_none());
    }

    #[test]
    fn what_is_no_status_is_an_internal_error() {
        let code = |code: &str| {
            json!({"status": "Failure", "reason": "NonZeroExitCode",
                "details": {"causes": [{"reason": "ExitCode", "message": code}]}})
        };
        let cases = [
            ("{".to_owned(), "error stream protocol error: EOF"),
            (
                "[]".to_owned(),
                "error stream protocol error: unknown error",
            ),
            (
                json!({"status": "Failure", "reason": "NonZeroExitCode"}).to_string(),
                "error stream protocol error: details must be set",
            ),
            (
                code("256").to_string(),
                "error stream protocol error: invalid exit code value \"256\"",
            ),
            (
                json!({"status": "Failure", "message": "no such file"}).to_string(),
                "no such file",
            ),
        ];
        for (message, expected) in cases {
            let status = decode(message.as_bytes());
            let text = status["message"].as_str().unwrap();
            let expected = format!("Internal error occurred: {expected}");
            assert!(text.starts_with(&expected), "{text}");
            assert_eq!(
                (&status["code"], &status["kind"]),
                (&json!(500), &Value::Null)
            );
        }
        assert_eq!(decode(b"")["status"], "Success");
    }

    #[test]
    fn a_refusal_is_told_in_the_words_of_whoever_refused() {
        for (body, expected) in [
            (&b"{\"message\": \" m \"}"[..], "m"),
            (b"{\"error\": \"e\"}", "e"),
            (b" plain\n", "plain"),
            (b"", "empty server response"),
        ] {
            let expected = format!("unable to upgrade connection: {expected}");
            assert_eq!(refusal(body), expected);
        }
    }
}
