//! The doctor at the bedside of simulated servers with one illness each.

use std::time::Duration;

use cordboard_sim::model::Dialect as Spoken;
use cordboard_sim::model::{Answer, ModelConfig, ModelScript, ModelServer, Refuse};

use super::*;

const KEY: &str = "sk-test-very-secret";

#[tokio::test]
async fn a_sound_installation_passes_every_step() {
    let (_server, report) = examined(spoken(300), |sources| sources).await;
    assert!(report.ok, "{}", text(&report));
    assert_eq!(outcomes(&report), [Outcome::Ok; 8], "{}", text(&report));
    assert!(step(&report, "response").found.contains("300 ms of speech"), "{}", text(&report));
}

#[tokio::test]
async fn a_server_of_the_older_dialect_passes_when_it_is_named() {
    let config = ModelConfig { dialect: Spoken::Beta, ..spoken(300) };
    let (_server, report) =
        examined(config, |sources| sources.env("OPENAI_REALTIME_DIALECT", "beta")).await;
    assert!(report.ok, "{}", text(&report));
}

#[tokio::test]
async fn a_wrong_key_fails_at_the_key_and_is_not_shown() {
    let config = ModelConfig { key: Some("sk-another".to_owned()), ..spoken(300) };
    for http_401 in [false, true] {
        let (_server, report) =
            examined(ModelConfig { http_401, ..config.clone() }, |sources| sources).await;
        assert_failed_at(&report, "key", "OPENAI_API_KEY");
        assert!(!text(&report).contains(KEY), "{}", text(&report));
    }
}

#[tokio::test]
async fn a_wrong_url_fails_at_the_connection() {
    let config = ModelConfig { refuse: vec![Refuse::Http(404)], ..spoken(300) };
    let (_server, report) = examined(config, |sources| sources).await;
    assert_failed_at(&report, "connect", "OPENAI_REALTIME_API_URL");
}

#[tokio::test]
async fn nobody_at_the_address_fails_at_the_connection() {
    let (server, sources) = server(spoken(300)).await;
    drop(server);
    let report = examine_with(&sources, IMPATIENT, |_| {}).await;
    assert_failed_at(&report, "connect", "OPENAI_REALTIME_API_URL");
}

#[tokio::test]
async fn a_refused_beta_fails_at_the_connection_and_names_the_dialect() {
    let (_server, report) =
        examined(spoken(300), |sources| sources.env("OPENAI_REALTIME_DIALECT", "beta")).await;
    assert_failed_at(&report, "connect", "OPENAI_REALTIME_DIALECT=ga");
}

#[tokio::test]
async fn a_server_that_ignores_formats_is_found_by_its_session() {
    let config = ModelConfig { ignores_formats: true, ..spoken(300) };
    let (_server, report) = examined(config, |sources| sources).await;
    let session = step(&report, "session");
    assert_eq!(session.outcome, Outcome::Warning, "{}", text(&report));
    assert!(session.todo[0].contains("pcm16"), "{}", text(&report));
}

#[tokio::test]
async fn a_server_that_never_answers_fails_at_the_response() {
    let script = ModelScript::always(Answer::tone(300).after_ms(3_600_000));
    let (_server, report) = examined(ModelConfig::with_script(script), |sources| sources).await;
    assert_failed_at(&report, "response", "does not answer response.create");
}

#[tokio::test]
async fn a_response_that_fails_names_the_servers_code() {
    let script = ModelScript::always(Answer::failed("rate_limit_exceeded"));
    let (_server, report) = examined(ModelConfig::with_script(script), |sources| sources).await;
    assert_failed_at(&report, "response", "quota and rate limits");
    assert!(step(&report, "response").found.contains("rate_limit_exceeded"), "{}", text(&report));
}

#[tokio::test]
async fn a_retired_model_is_pointed_out_at_the_settings() {
    let (_server, report) = examined(spoken(300), |sources| {
        sources.env("OPENAI_REALTIME_MODEL", "gpt-4o-realtime-preview-2024-12-17")
    })
    .await;
    let config = step(&report, "config");
    assert_eq!(config.outcome, Outcome::Warning);
    assert!(config.todo[0].contains("gpt-realtime-2.1"), "{}", text(&report));
}

#[tokio::test]
async fn a_broken_tenant_is_named_with_its_file_and_the_examination_goes_on() {
    let tenants = tempfile::tempdir().unwrap();
    for (name, manifest) in
        [("acme", ""), ("core", "component = 'own.wasm'"), ("key", "colour = 'red'")]
    {
        std::fs::create_dir(tenants.path().join(name)).unwrap();
        std::fs::write(tenants.path().join(name).join("tenant.toml"), manifest).unwrap();
    }
    std::fs::write(tenants.path().join("core/own.wasm"), b"\0asm\x01\0\0\0").unwrap();
    let dir = tenants.path().display().to_string();

    let (_server, report) =
        examined(spoken(300), |sources| sources.env("CORDBOARD_TENANTS_DIR", &dir)).await;

    let found = step(&report, "tenants");
    assert_eq!(found.outcome, Outcome::Failed);
    assert!(found.found.contains("acme"), "{}", text(&report));
    let todo = found.todo.join("\n");
    assert!(todo.contains("own.wasm: this is a core module"), "{todo}");
    assert!(todo.contains("key/tenant.toml") && todo.contains("colour"), "{todo}");
    assert_eq!(step(&report, "response").outcome, Outcome::Ok, "{}", text(&report));
    assert!(!report.ok);
}

#[tokio::test]
async fn settings_that_are_no_good_stop_the_examination() {
    let sources = Sources::default().env("PORT", "none");
    let report = examine(&sources, |_| {}).await;
    assert_failed_at(&report, "config", "PORT");
    assert!(step(&report, "config").todo.iter().any(|todo| todo.contains("OPENAI_API_KEY")));
}

#[tokio::test]
async fn a_key_alone_is_examined_although_serving_needs_more() {
    let (server, _) = server(spoken(300)).await;
    let sources =
        Sources::default().env("OPENAI_API_KEY", KEY).env("OPENAI_REALTIME_API_URL", &server.url());
    let report = examine_with(&sources, IMPATIENT, |_| {}).await;
    assert!(!report.ok);
    assert_eq!(step(&report, "carrier").outcome, Outcome::Failed);
    assert_eq!(step(&report, "response").outcome, Outcome::Ok, "{}", text(&report));
}

#[tokio::test]
async fn a_key_with_quotation_marks_is_never_sent() {
    let (server, report) =
        examined(spoken(300), |sources| sources.env("OPENAI_API_KEY", "'sk-x'")).await;
    assert_failed_at(&report, "key", "quotation marks");
    assert!(server.log().is_empty());
}

#[tokio::test]
async fn each_step_is_told_as_it_is_taken() {
    let (_server, sources) = server(spoken(300)).await;
    let mut told = Vec::new();
    let report = examine_with(&sources, IMPATIENT, |step| told.push(step.clone())).await;
    assert_eq!(told, report.steps);
    assert_eq!(told.iter().map(|step| step.name).collect::<Vec<_>>(), STEPS);
}

/// Long enough for a loopback server under load, short enough for a test that waits it out.
const IMPATIENT: Patience =
    Patience { answer: Duration::from_secs(5), speak: Duration::from_millis(1500) };

fn spoken(ms: u32) -> ModelConfig {
    ModelConfig::with_script(ModelScript::always(Answer::tone(ms).after_ms(0)))
}

async fn server(config: ModelConfig) -> (ModelServer, Sources) {
    let server = ModelServer::start(config).await.unwrap();
    let sources = Sources::default()
        .env("OPENAI_API_KEY", KEY)
        .env("OPENAI_REALTIME_API_URL", &server.url())
        .env("PUBLIC_URL", "https://voice.example.com")
        .env("TWILIO_AUTH_TOKEN", "token");
    (server, sources)
}

async fn examined(
    config: ModelConfig,
    change: impl FnOnce(Sources) -> Sources,
) -> (ModelServer, Report) {
    let (server, sources) = server(config).await;
    let report = examine_with(&change(sources), IMPATIENT, |_| {}).await;
    (server, report)
}

/// One step failed, told to do this; all later ones were skipped.
fn assert_failed_at(report: &Report, name: &str, todo: &str) {
    let text = text(report);
    let at = report.steps.iter().position(|step| step.name == name).unwrap();
    assert_eq!(report.steps[at].outcome, Outcome::Failed, "{text}");
    assert!(report.steps[at].todo.join(" ").contains(todo), "{text}");
    let later: Vec<Outcome> = report.steps[at + 1..].iter().map(|step| step.outcome).collect();
    assert!(later.iter().all(|outcome| *outcome == Outcome::Skipped), "{text}");
    assert!(!report.ok);
}

fn step<'a>(report: &'a Report, name: &str) -> &'a Step {
    report.steps.iter().find(|step| step.name == name).unwrap()
}

fn outcomes(report: &Report) -> Vec<Outcome> {
    report.steps.iter().map(|step| step.outcome).collect()
}

fn text(report: &Report) -> String {
    report.steps.iter().map(ToString::to_string).collect()
}
