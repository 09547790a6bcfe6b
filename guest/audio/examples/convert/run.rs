//! All of `convert` but the process around it; tests/convert.rs runs this too.

use std::fmt;
use std::fs;

use cordboard_audio::{Profile, Rate, Resampler, decode_twilio_audio, encode_twilio_audio};

const USAGE: &str = "\
usage: convert IN_RATE OUT_RATE IN OUT [options]

Converts the raw mono file IN to the raw mono file OUT, chunk by chunk as a call would. Rates are 8000, 16000 or 24000.

  --in-format s16le|ulaw    what IN holds (default s16le)
  --out-format s16le|ulaw   what OUT shall hold (default s16le)
  --chunks FILE             sizes of the chunks in bytes of IN, one per line; what is left of IN
                            after the last is one more chunk (default: 20 ms each)
  --cumulative FILE         write the bytes of OUT so far after each chunk, one number per line
  --profile NAME            flat (default), strict or lowlat
  --flush                   end with what the filter still holds, some milliseconds more than IN lasts
";

/// Does what the command line asks for, and says what is to be printed.
pub(crate) fn run(args: impl Iterator<Item = String>) -> Result<String, Error> {
    let Some(order) = Order::parse(args)? else {
        return Ok(USAGE.into());
    };
    let input = read(&order.input)?;
    let sizes = order.chunks.as_deref().map(chunk_sizes).transpose()?;

    let mut stream = Stream::new(&order);
    let mut so_far = String::new();
    for chunk in cut(&input, sizes, order.frame_bytes()) {
        stream.feed(chunk);
        so_far += &format!("{}\n", stream.out.len());
    }
    if order.flush {
        stream.flush();
    }

    write(&order.output, &stream.out)?;
    if let Some(path) = &order.cumulative {
        write(path, so_far.as_bytes())?;
    }
    let half = order.in_format == Format::S16le && input.len() % 2 == 1;
    Ok(if half { format!("{} ends inside a sample\n", order.input) } else { String::new() })
}

/// One file on its way through.
struct Stream {
    resampler: Resampler,
    in_format: Format,
    out_format: Format,
    out: Vec<u8>,
}

impl Stream {
    fn new(order: &Order) -> Self {
        Self {
            resampler: Resampler::new(order.from, order.to, order.profile),
            in_format: order.in_format,
            out_format: order.out_format,
            out: Vec::new(),
        }
    }

    fn feed(&mut self, chunk: &[u8]) {
        let mut pcm = Vec::new();
        match self.in_format {
            Format::S16le => self.resampler.process_bytes(chunk, &mut pcm),
            Format::Ulaw => {
                let samples = decode_twilio_audio(chunk);
                self.resampler.process_bytes(&to_bytes(&samples), &mut pcm);
            }
        }
        self.write(&pcm);
    }

    fn flush(&mut self) {
        let mut samples = Vec::new();
        self.resampler.flush(&mut samples);
        self.write(&to_bytes(&samples));
    }

    fn write(&mut self, pcm: &[u8]) {
        match self.out_format {
            Format::S16le => self.out.extend_from_slice(pcm),
            Format::Ulaw => {
                let samples: Vec<i16> =
                    pcm.as_chunks().0.iter().map(|pair| i16::from_le_bytes(*pair)).collect();
                self.out.extend(encode_twilio_audio(&samples));
            }
        }
    }
}

fn to_bytes(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// The chunks of a file: of the sizes given and then the rest, or all of one size.
fn cut(mut input: &[u8], sizes: Option<Vec<usize>>, frame: usize) -> Vec<&[u8]> {
    let Some(sizes) = sizes else {
        return input.chunks(frame).collect();
    };
    let mut chunks = Vec::new();
    for size in sizes {
        let (chunk, rest) = input.split_at(size.min(input.len()));
        chunks.push(chunk);
        input = rest;
        if input.is_empty() {
            return chunks;
        }
    }
    chunks.push(input);
    chunks
}

fn chunk_sizes(path: &str) -> Result<Vec<usize>, Error> {
    let text = String::from_utf8_lossy(&read(path)?).into_owned();
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(at, line)| {
            line.trim().parse().map_err(|_| {
                Error::Usage(format!("{path}, line {}: {line:?} is not a number of bytes", at + 1))
            })
        })
        .collect()
}

/// The command line, understood.
struct Order {
    from: Rate,
    to: Rate,
    input: String,
    output: String,
    in_format: Format,
    out_format: Format,
    profile: Profile,
    chunks: Option<String>,
    cumulative: Option<String>,
    flush: bool,
}

impl Order {
    /// None is a request for help.
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Option<Self>, Error> {
        let mut places = Vec::new();
        let [mut in_format, mut out_format] = [Format::S16le; 2];
        let mut profile = Profile::default();
        let [mut chunks, mut cumulative] = [None, None];
        let mut flush = false;
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| usage(format!("{arg} needs a value")));
            match arg.as_str() {
                "--help" | "-h" => return Ok(None),
                "--in-format" => in_format = Format::parse(&value()?)?,
                "--out-format" => out_format = Format::parse(&value()?)?,
                "--profile" => profile = value()?.parse().map_err(usage)?,
                "--chunks" => chunks = Some(value()?),
                "--cumulative" => cumulative = Some(value()?),
                "--flush" => flush = true,
                option if option.starts_with("--") => {
                    return Err(usage(format!("there is no option {option}")));
                }
                _ => places.push(arg),
            }
        }
        let [from, to, input, output] = <[String; 4]>::try_from(places).map_err(|places| {
            usage(format!("IN_RATE OUT_RATE IN OUT are four arguments, not {}", places.len()))
        })?;
        let (from, to) = (rate(&from)?, rate(&to)?);
        Ok(Some(Self {
            from,
            to,
            input,
            output,
            in_format,
            out_format,
            profile,
            chunks,
            cumulative,
            flush,
        }))
    }

    /// 20 ms of the input.
    fn frame_bytes(&self) -> usize {
        match self.in_format {
            Format::S16le => 2 * self.from.frame_samples(),
            Format::Ulaw => self.from.frame_samples(),
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Format {
    S16le,
    Ulaw,
}

impl Format {
    fn parse(name: &str) -> Result<Self, Error> {
        match name {
            "s16le" => Ok(Self::S16le),
            "ulaw" => Ok(Self::Ulaw),
            _ => Err(usage(format!("the formats are s16le and ulaw, not {name}"))),
        }
    }
}

fn rate(hz: &str) -> Result<Rate, Error> {
    let hz: u32 = hz.parse().map_err(|_| usage(format!("{hz} is not a rate in Hz")))?;
    Rate::try_from(hz).map_err(usage)
}

fn read(path: &str) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| Error::File(format!("cannot read {path}: {error}")))
}

fn write(path: &str, bytes: &[u8]) -> Result<(), Error> {
    fs::write(path, bytes).map_err(|error| Error::File(format!("cannot write {path}: {error}")))
}

fn usage(error: impl fmt::Display) -> Error {
    Error::Usage(error.to_string())
}

/// Why nothing was converted.
#[derive(Debug, PartialEq)]
pub(crate) enum Error {
    /// The command line, or the file of chunk sizes, cannot be meant.
    Usage(String),
    /// A file cannot be read or written.
    File(String),
}

impl Error {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::File(_) => 1,
            Self::Usage(_) => 2,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => f.write_str(error),
            Self::Usage(error) => write!(f, "{error} (--help says what there is)"),
        }
    }
}
