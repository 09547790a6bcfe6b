//! Ways a server says no, models that end, and the URL that leads to one.

use cordboard_wire::openai::{
    Closed, DEFAULT_MODEL, ErrorKind, Rejection, UrlError, classify_close, classify_error,
    classify_status, realtime_url, retired,
};

#[test]
fn each_rejection_seen_at_the_handshake_is_final_and_named() {
    for (code, reason, rejection) in [
        (3000, "invalid_request_error.invalid_api_key", Rejection::InvalidKey),
        (4000, "invalid_request_error.beta_api_shape_disabled", Rejection::BetaDisabled),
        (4000, "invalid_request_error.missing_model", Rejection::MissingModel),
        (4000, "invalid_request_error.invalid_model", Rejection::InvalidModel),
        (4004, "", Rejection::UnknownModel),
        (3000, "", Rejection::InvalidKey),
        (1006, "insufficient_quota", Rejection::NoQuota),
    ] {
        let closed = classify_close(Some(code), reason);
        assert_eq!(
            closed,
            Closed { retry: false, expired: false, fatal: Some(rejection) },
            "{code} {reason}"
        );
        assert!(!rejection.advice().is_empty());
    }
}

#[test]
fn only_closes_that_may_pass_are_retried() {
    for code in [1001, 1005, 1006, 1011, 1012, 1013, 1015] {
        assert!(classify_close(Some(code), "").retry, "{code}");
    }
    assert!(classify_close(None, "").retry, "a lost connection");
    for code in [1000, 1002, 1003, 1007, 1008, 1009, 1010, 3000, 4000, 4004, 4999] {
        assert!(!classify_close(Some(code), "").retry, "{code}");
    }
}

#[test]
fn a_session_that_grew_too_old_may_be_replaced() {
    let spoken = "Your session hit the maximum duration of 60 minutes.";
    for (code, reason) in [(1001, spoken), (1000, "session_expired")] {
        assert_eq!(
            classify_close(Some(code), reason),
            Closed { retry: true, expired: true, fatal: None }
        );
    }
    assert_eq!(classify_error(Some("session_expired"), None, spoken), ErrorKind::Expired);
}

#[test]
fn a_refusal_at_http_means_the_same() {
    assert_eq!(classify_status(401, "").fatal, Some(Rejection::InvalidKey));
    assert_eq!(classify_status(402, "").fatal, Some(Rejection::NoQuota));
    assert_eq!(classify_status(404, "").fatal, Some(Rejection::UnknownModel));
    for status in [401, 403, 400, 404, 301, 200] {
        assert!(!classify_status(status, "").retry, "{status}");
    }
    for status in [429, 500, 502, 503] {
        assert_eq!(
            classify_status(status, r#"{"error":{"code":"rate_limit_exceeded"}}"#),
            Closed { retry: true, expired: false, fatal: None },
            "{status}"
        );
    }
}

#[test]
fn what_the_body_of_a_refusal_names_counts_for_more_than_its_status() {
    for (status, body, rejection) in [
        (
            429,
            r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
            Rejection::NoQuota,
        ),
        (429, r#"{"error":{"type":"insufficient_quota","code":null}}"#, Rejection::NoQuota),
        (429, r#"{"error":"insufficient_quota"}"#, Rejection::NoQuota),
        (429, r#"{"code":"insufficient_quota","mess"#, Rejection::NoQuota),
        (403, "insufficient_quota: see your plan", Rejection::NoQuota),
        (503, "INSUFFICIENT_QUOTA", Rejection::NoQuota),
        (429, r#"{"error":{"code":"billing_hard_limit_reached"}}"#, Rejection::BillingLimit),
        (429, r#"{"error":{"code":"account_deactivated"}}"#, Rejection::AccountDeactivated),
        (400, r#"{"error":{"code":"invalid_api_key"}}"#, Rejection::InvalidKey),
    ] {
        let verdict = classify_status(status, body);
        assert_eq!(
            verdict,
            Closed { retry: false, expired: false, fatal: Some(rejection) },
            "{status} {body}"
        );
    }
}

#[test]
fn every_error_of_the_catalogue_is_sorted() {
    use ErrorKind::{Benign, Fatal, Other};
    for (code, param, message, expected) in [
        (Some("invalid_value"), Some("type"), "Invalid value: 'x'.", Other),
        (Some("invalid_json"), None, "", Other),
        (Some("invalid_event"), None, "", Other),
        (Some("unknown_parameter"), Some("session.modalities"), "Unknown parameter", Other),
        (Some("missing_required_parameter"), Some("session.type"), "Missing", Other),
        (Some("response_cancel_not_active"), None, "Cancellation failed", Benign),
        (Some("conversation_already_has_active_response"), None, "wait", Benign),
        (Some("input_audio_buffer_commit_empty"), None, "buffer too small", Benign),
        (Some("invalid_value"), None, "Audio content of 10ms is already shorter than 20ms", Benign),
        (Some("unsupported_content_type"), None, "only model output audio", Benign),
        (None, None, "Only model output audio messages can be truncated", Benign),
        (Some("cannot_update_voice"), None, "assistant audio is present", Other),
        (Some("invalid_type"), Some("audio_end_ms"), "expected an integer", Benign),
        (Some("integer_below_min_value"), Some("audio_end_ms"), ">= 0", Benign),
        (Some("item_retrieve_invalid_item_id"), None, "", Benign),
        (Some("item_delete_invalid_item_id"), None, "", Benign),
        (Some("item_truncate_invalid_item_id"), None, "", Benign),
        (Some("invalid_tool_call_id"), None, "Tool call ID 'x' not found", Other),
        (Some("string_above_max_length"), Some("item.id"), "", Other),
        (Some("insufficient_quota"), None, "", Fatal),
        (Some("invalid_api_key"), None, "", Fatal),
        (Some("account_deactivated"), None, "", Fatal),
        (Some("billing_hard_limit_reached"), None, "", Fatal),
        (Some("beta_api_shape_disabled"), None, "", Fatal),
        (Some("something_new"), None, "", Other),
        (None, None, "", Other),
    ] {
        assert_eq!(classify_error(code, param, message), expected, "{code:?} {param:?} {message}");
    }
}

#[test]
fn a_model_on_its_way_out_gets_advice_and_others_none() {
    let old = retired("gpt-4o-realtime-preview-2024-12-17").unwrap();
    assert_eq!(old.replacement, "gpt-realtime-2.1");
    let old = retired("gpt-4o-mini-realtime-preview").unwrap();
    assert_eq!(old.replacement, "gpt-realtime-2.1-mini");
    let old = retired("gpt-realtime-mini-2025-12-15").unwrap();
    assert_eq!(
        old.to_string(),
        "the model is announced to end; use gpt-realtime-2.1-mini (it is switched off on 2027-01-20)"
    );
    assert_eq!(retired("gpt-realtime").unwrap().shutdown, Some("2027-01-20"));
    assert!(retired("gpt-realtime-whisper").is_some());
    for current in [DEFAULT_MODEL, "gpt-realtime-2.1-mini", "gpt-realtime-2", "qwen-omni", ""] {
        assert_eq!(retired(current), None, "{current}");
    }
}

#[test]
fn a_url_names_exactly_one_model() {
    let base = "wss://api.openai.com/v1/realtime";
    for (base, expected) in [
        (base, Ok("wss://api.openai.com/v1/realtime?model=m%2F1%20x")),
        ("ws://localhost:8080/v1/realtime?", Ok("ws://localhost:8080/v1/realtime?model=m%2F1%20x")),
        ("wss://h/r?api-version=1&", Ok("wss://h/r?api-version=1&model=m%2F1%20x")),
        ("wss://h/r?model=own", Ok("wss://h/r?model=own")),
        ("wss://h/r?api-version=1&deployment=d", Ok("wss://h/r?api-version=1&deployment=d")),
        ("wss://h/r?model=a&call_id=rtc_1", Err(UrlError::MoreThanOneSubject)),
        ("wss://h/r?model=a&model=b", Err(UrlError::MoreThanOneSubject)),
        ("https://api.openai.com/v1/realtime", Err(UrlError::Scheme)),
        ("", Err(UrlError::Scheme)),
        ("wss://", Err(UrlError::Host)),
        ("wss:///v1", Err(UrlError::Host)),
        ("wss://h/r#x", Err(UrlError::Character)),
        ("wss://h/r x", Err(UrlError::Character)),
    ] {
        assert_eq!(realtime_url(base, "m/1 x").as_deref(), expected.as_ref().copied(), "{base}");
    }
    assert_eq!(realtime_url(base, ""), Err(UrlError::NoModel));
    assert!(realtime_url("wss://h/r?model=own", "").is_ok());
}
