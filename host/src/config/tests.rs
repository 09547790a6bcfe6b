//! Settings from texts that each test brings along; the process's own environment is never touched.

use super::*;

fn sources() -> Sources {
    Sources::default().env("OPENAI_API_KEY", "sk-test-very-secret")
}

fn load(sources: Sources) -> Config {
    Config::load(&sources).unwrap_or_else(|problems| panic!("{problems}"))
}

fn problems(sources: Sources) -> String {
    Config::load(&sources).expect_err("something is wrong").to_string()
}

#[test]
fn a_key_alone_is_enough_to_talk_to_the_model() {
    let config = load(sources());
    assert_eq!(config.model.url, "wss://api.openai.com/v1/realtime");
    assert_eq!(config.model.model, "gpt-realtime-2.1");
    assert_eq!(config.model.dialect, Dialect::Ga);
    assert_eq!(config.listen, "0.0.0.0:8080".parse().unwrap());
    assert!(config.carrier.check_signatures);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn serving_needs_an_origin_and_a_signing_key() {
    let problems = load(sources()).trust().expect_err("two settings are missing").to_string();
    assert!(
        problems.contains("PUBLIC_URL") && problems.contains("TWILIO_AUTH_TOKEN"),
        "{problems}"
    );
    let config = load(
        sources()
            .env("PUBLIC_URL", "https://voice.example.com/")
            .env("TWILIO_AUTH_TOKEN", "first, second"),
    );
    match config.trust().unwrap() {
        Trust::Signed { origin, tokens } => {
            assert_eq!(origin.http("/incoming-call"), "https://voice.example.com/incoming-call");
            assert_eq!(origin.ws("/media/x"), "wss://voice.example.com/media/x");
            assert_eq!(tokens, [Secret::new("first"), Secret::new("second")]);
        }
        Trust::Anybody { .. } => panic!("signatures must be checked unless told otherwise"),
    }
}

#[test]
fn signature_checks_are_off_only_by_an_explicit_setting_that_warns() {
    let config = load(sources().env("CORDBOARD_CHECK_SIGNATURES", "false"));
    assert!(matches!(config.trust(), Ok(Trust::Anybody { origin: None })));
    assert!(config.warnings.iter().any(|warning| warning.contains("check_signatures")));
    let refused = problems(sources().env("CORDBOARD_CHECK_SIGNATURES", "off"));
    assert!(refused.contains("CORDBOARD_CHECK_SIGNATURES"), "{refused}");
}

#[test]
fn the_environment_wins_over_dotenv_and_dotenv_over_the_file() {
    let file = "[model]\nname = 'from-file'\nvoice = 'from-file'\nurl = 'wss://file.example/v1/realtime'\n";
    let config = load(
        sources()
            .file("cordboard.toml", file)
            .dotenv("OPENAI_REALTIME_MODEL=from-dotenv\nOPENAI_REALTIME_VOICE=from-dotenv\n")
            .env("OPENAI_REALTIME_MODEL", "from-environment"),
    );
    assert_eq!(config.model.model, "from-environment");
    assert_eq!(config.voice.as_deref(), Some("from-dotenv"));
    assert_eq!(config.model.url, "wss://file.example/v1/realtime");
}

#[test]
fn an_empty_variable_counts_as_absent() {
    let config = load(sources().env("OPENAI_REALTIME_MODEL", "").env("PUBLIC_URL", "  "));
    assert_eq!(config.model.model, "gpt-realtime-2.1");
    assert_eq!(config.public_url, None);
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_its_key_and_place() {
    let text = problems(
        Sources::default()
            .file(
                "cordboard.toml",
                "listen = 'here'\nlistne = 1\n[calls]\nmax = 0\nlength_max_s = 1.5\n",
            )
            .dotenv("PUBLIC_URL=ftp://x\n")
            .env("PORT", "99999")
            .env("OPENAI_REALTIME_DIALECT", "alpha")
            .env("TWILIO_ACCOUNT_SID", "SK00000000000000000000000000000001"),
    );
    for said in [
        "listen in cordboard.toml: not an address with a port. Write an address",
        "listne in cordboard.toml: there is no such key. Did you mean `listen`?",
        "calls.max in cordboard.toml: 0 is outside 1 to 100000",
        "calls.length_max_s in cordboard.toml: not a text, a whole number",
        "PUBLIC_URL in .env: `ftp:` is not a web address",
        "PORT in the environment: 99999 is outside 1 to 65535",
        "OPENAI_REALTIME_DIALECT in the environment: neither ga nor beta",
        "TWILIO_ACCOUNT_SID in the environment: this is an API key's SID; it belongs in TWILIO_API_KEY",
        "OPENAI_API_KEY: not set (nor `model.api_key` in cordboard.toml)",
    ] {
        assert!(text.contains(said), "{said:?} is missing in\n{text}");
    }
}

#[test]
fn no_secret_is_shown_by_an_error_or_by_debug() {
    let secret = "very-secret-value";
    let text = problems(
        sources()
            .file("cordboard.toml", &format!("[carrier]\nauth_token = '{secret}\n"))
            .dotenv(&format!("OPENAI_API_KEY='{secret}\n")),
    );
    assert!(!text.contains(secret), "{text}");
    let text =
        problems(sources().env("TWILIO_ACCOUNT_SID", secret).env("TWILIO_API_SECRET", secret));
    assert!(!text.contains(secret), "{text}");
    let shown = sources().env("TWILIO_AUTH_TOKEN", secret).env("CORDBOARD_SECRET_CRM", secret);
    let shown = format!("{shown:?} {:?}", load(shown.clone()));
    assert!(!shown.contains(secret) && !shown.contains("sk-test"), "{shown}");
}

#[test]
fn a_retired_model_is_warned_about_with_what_to_use() {
    let config = load(sources().env("OPENAI_REALTIME_MODEL", "gpt-4o-realtime-preview-2024-12-17"));
    assert!(
        config.warnings.iter().any(|warning| warning.contains("gpt-realtime-2.1")),
        "{:?}",
        config.warnings
    );
}

#[test]
fn beta_at_openai_is_warned_about_and_elsewhere_is_not() {
    let beta = sources().env("OPENAI_REALTIME_DIALECT", "beta");
    assert!(load(beta.clone()).warnings.iter().any(|warning| warning.contains("dialect")));
    let elsewhere = beta.env("OPENAI_REALTIME_API_URL", "wss://model.example/v1/realtime");
    assert_eq!(load(elsewhere).warnings, [""; 0]);
}

#[test]
fn a_model_server_on_this_machine_needs_no_key() {
    let config =
        load(Sources::default().env("OPENAI_REALTIME_API_URL", "ws://127.0.0.1:9000/v1/realtime"));
    assert_eq!(config.model.key, None);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn a_key_in_clear_over_a_network_is_warned_about() {
    let config = load(sources().env("OPENAI_REALTIME_API_URL", "ws://model.example/v1/realtime"));
    assert!(
        config.warnings.iter().any(|warning| warning.contains("ws://")),
        "{:?}",
        config.warnings
    );
}

#[test]
fn a_web_address_for_the_model_is_refused_with_what_to_write() {
    let text =
        problems(sources().env("OPENAI_REALTIME_API_URL", "https://api.openai.com/v1/realtime"));
    assert!(text.contains("OPENAI_REALTIME_API_URL") && text.contains("wss://"), "{text}");
}

#[test]
fn the_key_can_be_shown_the_way_azure_wants_it() {
    let file = "[model]\nauth_header = 'api-key'\nauth_value = '{key}'\n[model.headers]\nX-Project = 'p1'\n";
    let config = load(sources().file("cordboard.toml", file));
    assert_eq!(config.model.auth, Auth { header: "api-key".to_owned(), value: "{key}".to_owned() });
    assert_eq!(config.model.headers, [("x-project".to_owned(), Secret::new("p1"))]);
    let text = problems(sources().env("CORDBOARD_MODEL_AUTH_VALUE", "Bearer"));
    assert!(text.contains("{key} is missing"), "{text}");
}

#[test]
fn rest_takes_the_api_key_before_the_accounts_own_token() {
    let account = sources()
        .env("TWILIO_ACCOUNT_SID", "AC00000000000000000000000000000001")
        .env("TWILIO_AUTH_TOKEN", "token");
    assert_eq!(
        load(account.clone()).carrier.rest.unwrap().user,
        "AC00000000000000000000000000000001"
    );
    let key = account.env("TWILIO_API_KEY", "SK00000000000000000000000000000002");
    assert!(problems(key.clone()).contains("TWILIO_API_SECRET"));
    let rest = load(key.env("TWILIO_API_SECRET", "secret")).carrier.rest.unwrap();
    assert_eq!(rest.user, "SK00000000000000000000000000000002");
    assert_eq!(rest.account_sid, "AC00000000000000000000000000000001");
    assert_eq!(rest.base_url, "https://api.twilio.com");
}

#[test]
fn without_an_account_there_is_no_rest() {
    assert!(load(sources().env("TWILIO_AUTH_TOKEN", "token")).carrier.rest.is_none());
}

#[test]
fn port_replaces_only_the_port() {
    let config = load(sources().env("CORDBOARD_LISTEN", "127.0.0.1:1234").env("PORT", "9000"));
    assert_eq!(config.listen, "127.0.0.1:9000".parse().unwrap());
}

#[test]
fn a_public_url_keeps_its_spelling_and_its_path() {
    let url: PublicUrl = "https://Voice.example.com:443/phone/".parse().unwrap();
    assert_eq!(url.ws("/media/x"), "wss://Voice.example.com:443/phone/media/x");
    let plain: PublicUrl = "http://127.0.0.1:8080".parse().unwrap();
    assert_eq!(plain.ws("/media/x"), "ws://127.0.0.1:8080/media/x");
    for wrong in ["http://voice.example.com", "voice.example.com", "https://x/?q", "https://u:p@x/"]
    {
        assert!(wrong.parse::<PublicUrl>().is_err(), "{wrong}");
    }
}

#[test]
fn secrets_for_tenants_come_from_the_environment_before_the_file() {
    let config = load(
        sources()
            .file("cordboard.toml", "[secrets]\nCRM_TOKEN = 'from-file'\nSMS_TOKEN = 'from-file'\n")
            .env("CORDBOARD_SECRET_CRM_TOKEN", "environment"),
    );
    assert!(config.secrets["CRM_TOKEN"].matches("environment"));
    assert!(config.secrets["SMS_TOKEN"].matches("from-file"));
    assert!(
        problems(sources().file("x.toml", "[secrets]\nlower = 'x'\n")).contains("secrets.lower")
    );
}

#[test]
fn a_secret_too_short_to_be_kept_out_of_answers_is_refused_by_its_name() {
    let text = problems(
        sources()
            .file("cordboard.toml", "[secrets]\nPIN = '12345'\n")
            .env("CORDBOARD_SECRET_WORD", "abcde"),
    );
    assert!(text.contains("the secret PIN: shorter than 6"), "{text}");
    assert!(text.contains("the secret WORD: shorter than 6"), "{text}");
    assert!(!text.contains("12345") && !text.contains("abcde"), "{text}");
    assert!(
        load(sources().env("CORDBOARD_SECRET_WORD", "abcdef")).secrets["WORD"].matches("abcdef")
    );
}

#[test]
fn a_directory_of_tenants_that_was_named_and_is_not_there_is_refused() {
    let text = problems(sources().env("CORDBOARD_TENANTS_DIR", "/srv/tenents"));
    assert!(text.contains("CORDBOARD_TENANTS_DIR in the environment: `/srv/tenents`"), "{text}");
    let text = problems(sources().file("cordboard.toml", "tenants_dir = 'Cargo.toml'\n"));
    assert!(text.contains("tenants_dir in cordboard.toml: `Cargo.toml` is no directory"), "{text}");
    assert_eq!(load(sources()).tenants_dir, PathBuf::from("tenants"), "nobody named it");
}

#[test]
fn a_misspelt_variable_of_ours_is_warned_about() {
    let config = load(sources().env("CORDBOARD_MAXCALLS", "5"));
    assert_eq!(
        config.warnings,
        [
            "CORDBOARD_MAXCALLS is set in the environment but means nothing; did you mean CORDBOARD_MAX_CALLS?"
        ]
    );
}

#[test]
fn a_log_filter_that_does_not_parse_is_refused() {
    assert!(problems(sources().env("RUST_LOG", "cordboard=loud")).contains("RUST_LOG"));
}

#[test]
fn a_table_written_as_a_value_and_a_value_as_a_table_are_refused() {
    let text = problems(sources().file("cordboard.toml", "carrier = 'x'\n[listen]\nport = 1\n"));
    assert!(text.contains("carrier in cordboard.toml"), "{text}");
    assert!(text.contains("listen in cordboard.toml"), "{text}");
}

mod example_files {
    use super::*;

    const TOML: &str = include_str!("../../cordboard.example.toml");
    const DOTENV: &str = include_str!("../../../.env.example");

    /// The file with its examples in force.
    fn uncommented(text: &str) -> String {
        let is_setting = |line: &str| {
            let name = line.trim_start_matches('#').split('=').next().unwrap_or_default().trim();
            line.contains('=')
                && !name.is_empty()
                && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-\"".contains(c))
        };
        let lines = text.lines().map(|line| match line.strip_prefix('#') {
            Some(rest) if is_setting(line) || rest.starts_with('[') => rest.trim_start(),
            _ => line,
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// The same on a host that has a directory of tenants.
    fn in_force(text: &str) -> String {
        uncommented(text)
            .replace("tenants_dir = \"tenants\"", "tenants_dir = \"src\"")
            .replace("TENANTS_DIR=tenants", "TENANTS_DIR=src")
    }

    #[test]
    fn the_toml_example_is_valid_as_it_stands_and_with_every_example_in_force() {
        load(sources().file("cordboard.example.toml", TOML));
        load(Sources::default().file("cordboard.example.toml", &in_force(TOML)));
    }

    #[test]
    fn the_dotenv_example_is_valid_with_every_example_in_force() {
        load(Sources::default().dotenv(&in_force(DOTENV)));
    }

    #[test]
    fn both_examples_list_every_setting() {
        let toml: toml::Table = uncommented(TOML).parse().unwrap();
        let dotenv = uncommented(DOTENV);
        for key in keys::ALL {
            let mut found = Some(&toml);
            let (tables, name) = key.toml.rsplit_once('.').unwrap_or(("", key.toml));
            for table in tables.split('.').filter(|table| !table.is_empty()) {
                found = found.and_then(|within| within.get(table)?.as_table());
            }
            let listed = found.is_some_and(|within| within.contains_key(name));
            assert!(listed, "{} is not in cordboard.example.toml", key.toml);
            assert!(
                dotenv.lines().any(|line| line.starts_with(&format!("{}=", key.env))),
                "{} is not in .env.example",
                key.env
            );
        }
        for name in keys::OF_COMMANDS {
            assert!(
                dotenv.lines().any(|line| line.starts_with(&format!("{name}="))),
                "{name} is not in .env.example"
            );
        }
    }
}
