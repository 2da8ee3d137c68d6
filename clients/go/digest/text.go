package digest

// Folding of Unicode text that every canonical form shares, by tables that are the same in every language.
//
// A character that came after Unicode 14.0 is refused: what a language knows of it depends on the language's age. All that an older character is
// folded to has been the same in every version since.

import (
	_ "embed"
	"encoding/json"
	"sort"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

type provider struct {
	Domains   []string `json:"domains"`
	Canonical string   `json:"canonical"`
	Tags      string   `json:"tags"`
	Ignored   string   `json:"ignored"`
	Same      string   `json:"same"`
	Account   bool     `json:"account"`
}

//go:embed tables.json
var tablesJSON []byte

// tables are those of clients/tables.py.
var tables = func() (read struct {
	Characters   map[string]characters `json:"characters"`
	Placeholders map[string]set        `json:"placeholders"`
	Providers    []provider            `json:"providers"`
	Letters      map[string]string     `json:"letters"`
	IBANLengths  map[string]int        `json:"iban_lengths"`
	TestCards    set                   `json:"test_cards"`
	Suffixes     set                   `json:"suffixes"`
	Domains      map[string]set        `json:"domains"`
}) {
	if err := json.Unmarshal(tablesJSON, &read); err != nil {
		panic(err) // The file is a part of the program.
	}
	return read
}()

// set is a set of texts.
type set map[string]struct{}

// UnmarshalJSON reads a list.
func (s *set) UnmarshalJSON(content []byte) error {
	var texts []string
	if err := json.Unmarshal(content, &texts); err != nil {
		return err
	}
	*s = make(set, len(texts))
	for _, text := range texts {
		(*s)[text] = struct{}{}
	}
	return nil
}

func (s set) has(text string) bool {
	_, ok := s[text]
	return ok
}

// characters is a set of characters, as ranges.
type characters [][2]rune

// UnmarshalText reads `41-5a aa`.
func (c *characters) UnmarshalText(text []byte) error {
	for _, part := range strings.Fields(string(text)) {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err := strconv.ParseInt(first, 16, 32)
		if err != nil {
			return err
		}
		to, err := strconv.ParseInt(last, 16, 32)
		if err != nil {
			return err
		}
		*c = append(*c, [2]rune{rune(from), rune(to)})
	}
	return nil
}

func (c characters) has(character rune) bool {
	at := sort.Search(len(c), func(at int) bool { return c[at][1] >= character })
	return at < len(c) && c[at][0] <= character
}

var (
	newCharacters   = tables.Characters["new"]
	newInDomains    = tables.Characters["new_in_domains"]
	alphabeticMarks = tables.Characters["alphabetic_marks"]
	latin           = tables.Characters["latin"]
	greek           = tables.Characters["greek"]
	cyrillic        = tables.Characters["cyrillic"]
	whiteSpace      = tables.Characters["white_space"]
	invisible       = tables.Characters["invisible"]
)

// isSilent: an apostrophe, what is used as one, the stroke that only stretches an Arabic word, or what no screen shows.
func isSilent(character rune) bool {
	return strings.ContainsRune("'`\u02bb\u02bc\u05f3\u0640\u2018\u2019\u2032\uff07", character) || invisible.has(character)
}

// isLetter: Unicode's `Alphabetic`.
func isLetter(character rune) bool {
	return unicode.In(character, unicode.L, unicode.Nl) || alphabeticMarks.has(character)
}

func isLetterOrNumber(character rune) bool { return unicode.IsNumber(character) || isLetter(character) }

// trim takes white space and invisible characters off the ends: what copying and pasting leaves there.
func trim(text string) string {
	return strings.TrimFunc(text, func(c rune) bool { return whiteSpace.has(c) || invisible.has(c) })
}

// typedText is the trimmed text, refused when a language could fold it in a way of its own.
func typedText(typed string) (string, error) {
	if !utf8.ValidString(typed) {
		return "", refused(NotText)
	}
	text := trim(typed)
	for _, character := range text {
		if character > 0x7f && newCharacters.has(character) {
			return "", refused(NewCharacter)
		}
	}
	return text, nil
}

// foldCase: NFKC, lower case one character at a time, every sigma the same, NFKC again.
func foldCase(text string) string {
	var lower strings.Builder
	for _, character := range norm.NFKC.String(text) {
		switch character {
		case 'İ':
			lower.WriteString("i\u0307") // The one letter whose small form is two characters.
		case 'ς':
			lower.WriteRune('σ')
		default:
			lower.WriteRune(unicode.ToLower(character))
		}
	}
	return norm.NFKC.String(lower.String())
}

// foldCaseFully: Unicode's full case folding (`CaseFolding.txt`, C and F). Cherokee folds to capitals, which x/text does not do.
func foldCaseFully(text string) string {
	return strings.Map(func(character rune) rune {
		if (character >= 0xab70 && character <= 0xabbf) || (character >= 0x13f8 && character <= 0x13fd) {
			return unicode.ToUpper(character)
		}
		return character
	}, cases.Fold().String(text))
}

// keep is the text's characters that pass.
func keep(text string, passes func(rune) bool) string {
	return strings.Map(func(character rune) rune {
		if passes(character) {
			return character
		}
		return -1
	}, text)
}

func isDigits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}
