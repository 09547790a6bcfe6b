//! Cordboard: phone calls in, speech models out, tenants as components in between.
