//! Sound components of a megabyte or two that take a compiler minutes, or gigabytes.
//!
//! **One rule: nothing is wrong with them.** Each is the guest `echoes` with one core module more, which
//! nobody instantiates and the compiler compiles all the same.

use crate::bytes;

/// A component with so many functions that do nothing: 300,000 of them take more than a gigabyte.
pub fn empty_functions(count: usize) -> Vec<u8> {
    with_module(&module(count, &[0, 0x0b]))
}

/// A component with one function of loops in one another that all use its locals: 900 loops and
/// 4,000 locals take minutes, and gigabytes.
pub fn nested_loops(depth: usize, locals: usize) -> Vec<u8> {
    let mut body = [vec![1], leb128(locals), vec![0x7f]].concat();
    for nth in 0..depth {
        // loop; local.get nth; local.set (the last less nth)
        body.extend([0x03, 0x40, 0x20]);
        body.extend(leb128(nth % locals));
        body.push(0x21);
        body.extend(leb128(locals - 1 - nth % locals));
    }
    for nth in 0..depth {
        // local.get nth; br_if 0; end
        body.push(0x20);
        body.extend(leb128(locals - 1 - nth % locals));
        body.extend([0x0d, 0, 0x0b]);
    }
    body.push(0x0b);
    with_module(&module(1, &body))
}

fn with_module(module: &[u8]) -> Vec<u8> {
    [bytes("echoes"), section(1, module)].concat()
}

/// A core module with so many functions of this body.
fn module(count: usize, body: &[u8]) -> Vec<u8> {
    let one = [leb128(body.len()), body.to_vec()].concat();
    let types = section(1, &[1, 0x60, 0, 0]);
    let functions = section(3, &[leb128(count), vec![0; count]].concat());
    let code = section(10, &[leb128(count), one.repeat(count)].concat());
    [&b"\0asm\x01\0\0\0"[..], &types, &functions, &code].concat()
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [vec![id], leb128(content.len()), content.to_vec()].concat()
}

fn leb128(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}
