//! Every setting: its key in `cordboard.toml`, its name in the environment, and what to write there.

use strsim::levenshtein;

/// One setting, as an operator knows it.
#[derive(Debug)]
pub(super) struct Key {
    /// Dotted path in `cordboard.toml`.
    pub(super) toml: &'static str,
    /// Environment variable; wins over the file.
    pub(super) env: &'static str,
    /// What to write, as the end of "Write ...".
    pub(super) write: &'static str,
}

macro_rules! keys {
    ($($name:ident $toml:literal $env:literal $write:literal)*) => {
        $(pub(super) const $name: Key = Key { toml: $toml, env: $env, write: $write };)*
        /// All of them, in the order of the example files.
        pub(super) const ALL: &[&Key] = &[$(&$name),*];
    };
}

keys! {
    LISTEN "listen" "CORDBOARD_LISTEN"
        "an address with a port, for example 0.0.0.0:8080"
    PORT "port" "PORT"
        "a port from 1 to 65535; it replaces the port of `listen`"
    TRUSTED_PROXIES "trusted_proxies" "CORDBOARD_TRUSTED_PROXIES"
        "the addresses or networks of your proxies with commas between, for example 10.0.0.0/8"
    CLIENT_HEADER "client_header" "CORDBOARD_CLIENT_HEADER"
        "the header in which your proxies name the client, for example x-forwarded-for or forwarded"
    PUBLIC_URL "public_url" "PUBLIC_URL"
        "the origin at which the carrier reaches this host, for example https://voice.example.com"
    LOG "log" "RUST_LOG"
        "a log filter, for example info or cordboard=debug,warn"
    LOG_FORMAT "log_format" "CORDBOARD_LOG_FORMAT"
        "text or json"
    LOG_FILE "log_file" "CORDBOARD_LOG_FILE"
        "the path of a file that the log is added to"
    TENANTS_DIR "tenants_dir" "CORDBOARD_TENANTS_DIR"
        "an existing directory with one folder per tenant"

    ACCOUNT_SID "carrier.account_sid" "TWILIO_ACCOUNT_SID"
        "the account SID from the Twilio console: AC and 32 hexadecimal digits"
    AUTH_TOKEN "carrier.auth_token" "TWILIO_AUTH_TOKEN"
        "the account's auth token from the Twilio console; during a rotation both, with a comma between"
    API_KEY_SID "carrier.api_key_sid" "TWILIO_API_KEY"
        "an API key SID: SK and 32 hexadecimal digits"
    API_KEY_SECRET "carrier.api_key_secret" "TWILIO_API_SECRET"
        "the secret shown once when the API key was made"
    CHECK_SIGNATURES "carrier.check_signatures" "CORDBOARD_CHECK_SIGNATURES"
        "true, or false to let anybody start calls at your cost"
    REST_URL "carrier.rest_url" "CORDBOARD_TWILIO_REST_URL"
        "the origin of the carrier's REST API, for example https://api.twilio.com"

    MODEL_KEY "model.api_key" "OPENAI_API_KEY"
        "the API key of the model's service"
    MODEL_URL "model.url" "OPENAI_REALTIME_API_URL"
        "a WebSocket address, for example wss://api.openai.com/v1/realtime"
    MODEL_NAME "model.name" "OPENAI_REALTIME_MODEL"
        "a realtime model's name, for example gpt-realtime-2.1"
    MODEL_VOICE "model.voice" "OPENAI_REALTIME_VOICE"
        "a voice of the model, for example marin"
    MODEL_DIALECT "model.dialect" "OPENAI_REALTIME_DIALECT"
        "ga, or beta for a compatible server with the older event names"
    MODEL_AUTH_HEADER "model.auth_header" "CORDBOARD_MODEL_AUTH_HEADER"
        "the header that carries the key, for example authorization, or api-key for Azure"
    MODEL_AUTH_VALUE "model.auth_value" "CORDBOARD_MODEL_AUTH_VALUE"
        "the header's value with {key} where the key goes, for example Bearer {key}"
    CONNECT_DEADLINE "model.connect_deadline_ms" "CORDBOARD_MODEL_CONNECT_DEADLINE_MS"
        "milliseconds from 100 to 60000"
    SESSION_DEADLINE "model.session_deadline_ms" "CORDBOARD_MODEL_SESSION_DEADLINE_MS"
        "milliseconds from 100 to 60000"

    CALLS_MAX "calls.max" "CORDBOARD_MAX_CALLS"
        "how many calls may be live at once, 1 to 100000"
    CALLS_PER_TENANT_MAX "calls.max_per_tenant" "CORDBOARD_MAX_CALLS_PER_TENANT"
        "how many calls one tenant may have at once, 1 to 100000"
    CALLS_MEMORY "calls.memory_mib" "CORDBOARD_CALLS_MEMORY_MIB"
        "MiB of memory for the tenants of all calls together, 16 to 1048576"
    CALL_LENGTH_MAX "calls.length_max_s" "CORDBOARD_CALL_LENGTH_MAX_S"
        "seconds from 10 to 86400"
    DRAIN_DEADLINE "calls.drain_deadline_s" "CORDBOARD_DRAIN_DEADLINE_S"
        "seconds from 0 to 86400"

    RECORDING_DIR "recording.dir" "CORDBOARD_RECORDING_DIR"
        "a directory for recordings, which is made when the first call is recorded"
    RECORDING_KEEP_DAYS "recording.keep_days" "CORDBOARD_RECORDING_KEEP_DAYS"
        "how many days a recording is kept, 1 to 3650"
    RECORDING_TOTAL_MIB "recording.total_mib" "CORDBOARD_RECORDING_TOTAL_MIB"
        "MiB of all recordings, 1 to 100000000; the oldest go first"
    RECORDING_CALL_MIB "recording.call_mib" "CORDBOARD_RECORDING_CALL_MIB"
        "MiB of one call's recording, 1 to 1024"

    COMPILE_MEMORY_MIB "compile.memory_mib" "CORDBOARD_COMPILE_MEMORY_MIB"
        "MiB of memory that compiling one component may take, 64 to 1048576"
    COMPILE_CPU "compile.cpu_s" "CORDBOARD_COMPILE_CPU_S"
        "seconds of processor time from 1 to 3600"
    COMPILE_WALL "compile.wall_s" "CORDBOARD_COMPILE_WALL_S"
        "seconds from 1 to 3600"
    COMPILE_AT_ONCE "compile.at_once" "CORDBOARD_COMPILE_AT_ONCE"
        "how many components of different tenants are compiled at once, 1 to 64"

    ADMIN_LISTEN "admin.listen" "CORDBOARD_ADMIN_LISTEN"
        "an address with a port that callers do not reach, for example 127.0.0.1:8081"
    ADMIN_TOKEN "admin.token" "CORDBOARD_ADMIN_TOKEN"
        "a text of at least 16 characters nobody can guess, for example from `openssl rand -hex 24`"

    METRICS_LISTEN "metrics.listen" "CORDBOARD_METRICS_LISTEN"
        "an address with a port that only your Prometheus reaches, for example 127.0.0.1:9464"
}

/// Tables of `cordboard.toml` whose keys the operator chooses.
pub(super) const FREE_TABLES: &[&str] =
    &["model.headers", "secrets", "admin.tokens", "admin.tenant_tokens"];

/// Environment variables that are ours and no settings of a gateway: where the operator's commands go.
pub(super) const OF_COMMANDS: &[&str] = &["CORDBOARD_ADMIN_URL"];

/// Environment variables with this prefix are the operator's secrets for tenants' HTTP requests.
pub(super) const SECRET_PREFIX: &str = "CORDBOARD_SECRET_";

/// Returns the known key that is spelled most like `given`, unless nothing comes near.
pub(super) fn nearest(
    given: &str,
    known: impl Iterator<Item = &'static str>,
) -> Option<&'static str> {
    known
        .map(|name| {
            // A key written at the wrong level is as good as a match: `api_key` for `model.api_key`.
            let leaf = name.rsplit('.').next().unwrap_or(name);
            (
                levenshtein(given, name)
                    .min(levenshtein(last(given), leaf) + usize::from(given != leaf)),
                name,
            )
        })
        .min()
        .filter(|&(edits, name)| edits <= (name.len() / 3).max(2))
        .map(|(_, name)| name)
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nearest_key(given: &str) -> Option<&'static str> {
        nearest(given, ALL.iter().map(|key| key.toml))
    }

    #[test]
    fn a_slip_of_the_pen_finds_the_key_that_was_meant() {
        assert_eq!(nearest_key("listne"), Some("listen"));
        assert_eq!(nearest_key("model.apikey"), Some("model.api_key"));
        assert_eq!(nearest_key("carrier.authtoken"), Some("carrier.auth_token"));
    }

    #[test]
    fn a_key_at_the_wrong_level_is_found() {
        assert_eq!(nearest_key("auth_token"), Some("carrier.auth_token"));
        assert_eq!(nearest_key("call.max"), Some("calls.max"));
    }

    #[test]
    fn a_word_like_no_key_finds_none() {
        assert_eq!(nearest_key("quartz_xylophone_level"), None);
    }

    #[test]
    fn no_two_settings_share_a_name() {
        for (i, a) in ALL.iter().enumerate() {
            for b in &ALL[i + 1..] {
                assert!(a.toml != b.toml && a.env != b.env, "{} and {}", a.toml, b.toml);
            }
        }
    }
}
