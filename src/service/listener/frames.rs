//! Where in the frames of HTTP/2 a client is: between two, or in the midst of one, or of the headers of a call. It looks at lengths and nothing else.

/// What a client says before its first frame.
const PREFACE_BYTES: u32 = 24;
/// Bytes before what is in a frame: three of its length, its type, its flags, four of its stream.
const HEAD_BYTES: usize = 9;
/// Types of frames that hold headers, and the flag of the last of them.
const HEADERS: u8 = 0x1;
const CONTINUATION: u8 = 0x9;
const END_HEADERS: u8 = 0x4;

/// What a client has sent, as far as it tells where it is.
#[derive(Debug)]
pub(super) struct Frames {
    at: At,
    headers: Headers,
}

/// In the midst of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Preface { left: u32 },
    Head { bytes: [u8; HEAD_BYTES], filled: usize },
    Payload { left: u32 },
}

/// Whether the headers of a call are whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Headers {
    Whole,
    Begun,
}

const BETWEEN: At = At::Head { bytes: [0; HEAD_BYTES], filled: 0 };

impl Frames {
    /// Of a client that has said nothing yet.
    pub(super) const fn begin() -> Self {
        Self { at: At::Preface { left: PREFACE_BYTES }, headers: Headers::Whole }
    }

    /// Whether everything that was begun is whole.
    pub(super) fn are_whole(&self) -> bool {
        self.at == BETWEEN && self.headers == Headers::Whole
    }

    /// Follows what a client sends. Tells whether everything was whole at some place in it, or at its end.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) -> bool {
        let mut whole = false;
        while !bytes.is_empty() {
            match &mut self.at {
                At::Preface { left } | At::Payload { left } => {
                    let step = (*left).min(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
                    *left -= step;
                    bytes = bytes.get(step as usize..).unwrap_or_default();
                    if *left == 0 {
                        self.at = BETWEEN;
                    }
                }
                At::Head { bytes: head, filled } => {
                    let step = (HEAD_BYTES - *filled).min(bytes.len());
                    let (now, rest) = bytes.split_at(step);
                    head[*filled..*filled + step].copy_from_slice(now);
                    *filled += step;
                    bytes = rest;
                    if *filled == HEAD_BYTES {
                        self.headers = match (head[3], head[4] & END_HEADERS != 0) {
                            (HEADERS, false) => Headers::Begun,
                            (HEADERS | CONTINUATION, true) => Headers::Whole,
                            _ => self.headers,
                        };
                        let left = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                        self.at = if left == 0 { BETWEEN } else { At::Payload { left } };
                    }
                }
            }
            whole |= self.are_whole();
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], &vec![7; payload]].concat()
    }

    fn after_preface() -> Frames {
        let mut frames = Frames::begin();
        frames.follow(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        frames
    }

    #[test]
    fn a_client_is_between_frames_whichever_way_its_bytes_come() {
        let said = [frame(4, 0, 18), frame(HEADERS, END_HEADERS, 40), frame(0, 1, 300), frame(4, 1, 0)].concat();
        for piece in [1, 2, 9, 10, 64, said.len()] {
            let mut frames = after_preface();
            assert!(frames.are_whole());
            let wholes = said.chunks(piece).filter(|bytes| frames.follow(bytes)).count();
            assert!(frames.are_whole() && wholes > 0, "{piece}");
        }
    }

    #[test]
    fn what_was_begun_is_not_whole() {
        let mut frames = Frames::begin();
        assert!(!frames.follow(b"PRI * HTTP") && !frames.are_whole());
        let mut frames = after_preface();
        assert!(!frames.follow(&frame(0, 0, 100)[..50]) && !frames.are_whole());
        assert!(frames.follow(&[7; 60]), "its end, and the beginning of the next");
        assert!(!frames.are_whole());
    }

    #[test]
    fn headers_are_whole_with_the_last_of_their_frames() {
        let mut frames = after_preface();
        assert!(!frames.follow(&frame(HEADERS, 0, 10)));
        assert!(!frames.follow(&frame(CONTINUATION, 0, 10)) && !frames.are_whole());
        assert!(frames.follow(&frame(CONTINUATION, END_HEADERS, 10)) && frames.are_whole());
    }
}
