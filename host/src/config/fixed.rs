//! Which settings stay as they are until the gateway is started anew.

use super::{Admin, Carrier, Config};

impl Config {
    /// Names the settings that differ in `new` and can not change while the process runs. All others can.
    #[must_use]
    pub fn needs_restart_for(&self, new: &Self) -> Vec<&'static str> {
        // Each field by name, so that a new one is thought about here.
        let Self {
            listen,
            proxies,
            public_url,
            log: _,
            log_format,
            log_file,
            tenants_dir,
            carrier: Carrier { check_signatures, account_sid: _, auth_tokens: _, rest: _ },
            model: _,
            voice,
            calls,
            recording,
            compile,
            admin: Admin { listen: admin_listen, tokens },
            metrics_listen,
            secrets: _,
            warnings: _,
        } = self;
        let differs = [
            ("listen", *listen != new.listen),
            ("trusted_proxies or client_header", *proxies != new.proxies),
            ("public_url", *public_url != new.public_url),
            ("log_format", *log_format != new.log_format),
            ("log_file", *log_file != new.log_file),
            ("tenants_dir", *tenants_dir != new.tenants_dir),
            ("carrier.check_signatures", *check_signatures != new.carrier.check_signatures),
            ("model.voice", *voice != new.voice),
            ("calls", *calls != new.calls),
            ("recording", *recording != new.recording),
            ("compile", *compile != new.compile),
            ("admin.listen", *admin_listen != new.admin.listen),
            ("metrics.listen", *metrics_listen != new.metrics_listen),
            // Without any the admin API has no port, which is not opened later.
            ("admin.token", tokens.is_empty() && !new.admin.tokens.is_empty()),
        ];
        differs.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Sources;
    use super::*;

    fn with(file: &str) -> Config {
        Config::load(&Sources::default().env("OPENAI_API_KEY", "sk-test").file("c.toml", file))
            .unwrap()
    }

    #[test]
    fn what_is_fixed_is_named_and_what_can_change_is_not() {
        let before = with("");
        let changed = with(
            "log = 'debug'\nlisten = '127.0.0.1:9'\n[calls]\nmax = 3\n[secrets]\nCRM = 'a-secret'\n\
             [carrier]\nauth_token = 'new'\n[model]\nname = 'other'\n",
        );

        assert_eq!(before.needs_restart_for(&changed), ["listen", "calls"]);
        assert!(before.needs_restart_for(&before).is_empty());
    }
}
