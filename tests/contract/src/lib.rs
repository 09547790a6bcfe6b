//! Every shipped guest through the same list of promises.
