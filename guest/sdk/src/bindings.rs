//! The contract of `wit/tenant.wit` as wit-bindgen writes it, for the world `tenant-handover`.
#![expect(missing_docs, reason = "the texts are in wit/tenant.wit")]

wit_bindgen::generate!({
    path: "../../wit",
    world: "tenant-handover",
    pub_export_macro: true,
    export_macro_name: "export_world",
    default_bindings_module: "cordboard_sdk::bindings",
    additional_derives: [PartialEq],
    generate_all,
});
