#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| cordboard_fuzz::signature_form(data));
