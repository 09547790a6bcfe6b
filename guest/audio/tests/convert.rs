//! The measuring tool: the same conversions as the library's, told about faithfully.

#[path = "../examples/convert/run.rs"]
mod run;

use std::fs;
use std::path::{Path, PathBuf};

use cordboard_audio::{CallerToModel, ModelToCaller, Rate, resample_audio};
use run::{Error, run};

#[test]
fn a_telephone_recording_becomes_what_the_model_hears() {
    let dir = Dir::new("model-hears");
    let ulaw: Vec<u8> = (0..1_000_u32).map(|i| (i * 37 % 256) as u8).collect();
    dir.write("in", &ulaw);
    dir.convert("8000 24000 in out --in-format ulaw").unwrap();

    let mut expected = Vec::new();
    CallerToModel::default().process(&ulaw, &mut expected);
    assert_eq!(dir.read("out"), expected);
}

#[test]
fn the_models_voice_becomes_what_the_caller_hears() {
    let dir = Dir::new("caller-hears");
    let pcm: Vec<u8> = (0..9_001_u32).map(|i| (i * i % 251) as u8).collect();
    dir.write("in", &pcm);
    let said = dir.convert("24000 8000 in out --out-format ulaw --flush").unwrap();

    let mut expected = Vec::new();
    let mut mouth = ModelToCaller::default();
    mouth.process(&pcm, &mut expected);
    mouth.flush(&mut expected);
    assert_eq!(dir.read("out"), expected);
    assert!(said.contains("ends inside a sample"), "{said}");
}

#[test]
fn chunk_sizes_are_followed_and_the_output_counted_after_each() {
    let dir = Dir::new("chunks");
    let samples: Vec<i16> = (0..500).map(|i| (i * 61 % 20_000) as i16).collect();
    dir.write("in", &samples.iter().flat_map(|s| s.to_le_bytes()).collect::<Vec<u8>>());
    dir.write("sizes", b"320\n7\n0\n1\n\n100\n");
    dir.convert("8000 16000 in out --chunks sizes --cumulative counts").unwrap();

    // 320, 327, 327, 328, 428 and all 1,000 bytes in: whole samples only, two out for each.
    assert_eq!(dir.read("counts"), b"640\n652\n652\n656\n856\n2000\n");
    let whole = resample_audio(&samples, Rate::Hz8000, Rate::Hz16000);
    assert_eq!(dir.read("out"), whole.iter().flat_map(|s| s.to_le_bytes()).collect::<Vec<u8>>());
}

#[test]
fn sizes_beyond_the_end_of_the_file_are_not_fed() {
    let dir = Dir::new("beyond");
    dir.write("in", &[0; 10]);
    dir.write("sizes", b"6\n6\n6\n");
    dir.convert("8000 8000 in out --chunks sizes --cumulative counts").unwrap();
    assert_eq!(dir.read("counts"), b"6\n10\n");
}

#[test]
fn profiles_are_chosen_by_name() {
    let dir = Dir::new("profiles");
    dir.write("in", &[0x11; 2_000]);
    let outs = ["flat", "strict", "lowlat"].map(|profile| {
        dir.convert(&format!("24000 8000 in out --profile {profile}")).unwrap();
        dir.read("out")
    });
    assert!(outs[0] != outs[1] && outs[1] != outs[2] && outs[0] != outs[2]);
}

#[test]
fn nonsense_on_the_command_line_is_exit_code_2_and_says_what_is_wrong() {
    let dir = Dir::new("nonsense");
    dir.write("in", &[0; 10]);
    dir.write("sizes", b"6\nsix\n");
    for (line, wrong) in [
        ("8000 44100 in out", "44100"),
        ("fast 8000 in out", "fast"),
        ("8000 24000 in", "not 3"),
        ("8000 24000 in out more", "not 5"),
        ("8000 24000 in out --in-format mp3", "mp3"),
        ("8000 24000 in out --profile best", "flat, strict and lowlat"),
        ("8000 24000 in out --chunks", "--chunks needs a value"),
        ("8000 24000 in out --faster", "--faster"),
        ("8000 24000 in out --chunks sizes", "line 2"),
    ] {
        let error = dir.convert(line).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
        assert!(error.to_string().contains(wrong), "{line}: {error}");
    }
    assert!(!dir.path("out").exists());
}

#[test]
fn files_that_cannot_be_opened_are_exit_code_1_and_named() {
    let dir = Dir::new("files");
    let error = dir.convert("8000 24000 absent out").unwrap_err();
    assert!(matches!(&error, Error::File(error) if error.contains("absent")));
    assert_eq!(error.exit_code(), 1);
    dir.write("in", &[0; 10]);
    let error = dir.convert("8000 24000 in no/such/folder").unwrap_err();
    assert!(matches!(&error, Error::File(error) if error.contains("folder")));
}

#[test]
fn help_is_given_where_it_is_asked_for() {
    let said = run(["--help".to_owned()].into_iter()).unwrap();
    for option in ["--in-format", "--out-format", "--chunks", "--cumulative", "--profile"] {
        assert!(said.contains(option));
    }
}

/// A folder of this test's own, gone afterwards.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("convert-{name}"));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("the temporary folder is writable");
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("the folder is writable");
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("the file was written")
    }

    /// Runs a command line whose file names are in this folder.
    fn convert(&self, line: &str) -> Result<String, Error> {
        let files = ["in", "out", "sizes", "counts", "absent", "no/such/folder"];
        run(line.split(' ').map(|word| {
            if files.contains(&word) {
                self.path(word).to_str().expect("the path is text").to_owned()
            } else {
                word.to_owned()
            }
        }))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
