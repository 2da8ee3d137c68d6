package digest

// Keyed digests and sketches, under one programme key or, while keys rotate, two.

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	selfsamev1 "selfsame.example/go/v1"
)

const (
	keyBytesMin      = 32
	distinctBytesMin = 8
	sketchBytes      = 128
	positions        = 10
	ring             = "sketch.person"
)

var keyID = regexp.MustCompile(`^[a-z0-9._-]{1,32}$`)

// Key is a programme key: a secret with its name. Whoever holds it can test guesses: keep it in a secret store, out of logs and away from the Selfsame
// service.
type Key struct {
	id     string
	secret []byte
}

// NewKey takes the bytes as the key.
func NewKey(id string, secret []byte) (Key, error) {
	distinct := map[byte]struct{}{}
	for _, b := range secret {
		distinct[b] = struct{}{}
	}
	switch {
	case !keyID.MatchString(id):
		return Key{}, refusedFor(InvalidKey, "a key id is 1 to 32 characters of a-z 0-9 . _ -")
	case len(secret) < keyBytesMin:
		return Key{}, refusedFor(InvalidKey, "a programme key needs at least %d bytes", keyBytesMin)
	case len(distinct) < distinctBytesMin:
		return Key{}, refusedFor(InvalidKey, "the programme key repeats a few bytes; make one with `selfsame digest --generate-key`")
	}
	return Key{id, slices.Clone(secret)}, nil
}

// KeyFromText reads hexadecimal, base64 (standard or URL alphabet), or `hex:`, `base64:`, `raw:` and the key.
func KeyFromText(id, text string) (Key, error) {
	text = strings.TrimSpace(strings.TrimLeft(text, "\ufeff"))
	if raw, ok := strings.CutPrefix(text, "raw:"); ok {
		return NewKey(id, []byte(raw))
	}
	if encoded, ok := strings.CutPrefix(text, "base64:"); ok {
		return keyFromBase64(id, encoded)
	}
	digits, isHex := strings.CutPrefix(text, "hex:")
	if !isHex && strings.Trim(text, "0123456789abcdefABCDEF") != "" {
		return keyFromBase64(id, text)
	}
	secret, err := hex.DecodeString(digits)
	if err != nil {
		return Key{}, refusedFor(InvalidKey, "the programme key is not hexadecimal, or a digit is missing")
	}
	return NewKey(id, secret)
}

func keyFromBase64(id, encoded string) (Key, error) {
	encoded = strings.TrimRight(encoded, "=")
	secret, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil {
		secret, err = base64.RawURLEncoding.DecodeString(encoded)
	}
	if err != nil {
		return Key{}, refusedFor(InvalidKey, "the programme key is neither hexadecimal nor base64; write `raw:` before it to use it as it stands")
	}
	return NewKey(id, secret)
}

// String shows the name only.
func (k Key) String() string { return "Key(" + k.id + ")" }

// GoString shows the name only.
func (k Key) GoString() string { return k.String() }

func macOf(key []byte, parts ...string) []byte {
	state := hmac.New(sha256.New, key)
	for _, part := range parts {
		state.Write([]byte(part))
	}
	return state.Sum(nil)
}

// Digester turns raw values into the signals of a bundle. Its methods return an *Error for a value that is not digested; Bundle tells such values
// apart and keeps the rest. Many may use one at a time.
type Digester struct {
	keys    []Key
	rules   *DomainRules
	subKeys map[[2]string][]byte
}

// Option is something that a Digester has beside its key.
type Option func(*Digester)

// Previous is the key that was in force before, while keys rotate.
func Previous(key Key) Option { return func(d *Digester) { d.keys = append(d.keys, key) } }

// Rules are what your own files say of domains.
func Rules(rules *DomainRules) Option { return func(d *Digester) { d.rules = rules } }

// New is a digester under a key.
func New(key Key, options ...Option) (*Digester, error) {
	d := &Digester{keys: []Key{key}, rules: &DomainRules{}, subKeys: map[[2]string][]byte{}}
	for _, option := range options {
		option(d)
	}
	if len(d.keys) > 2 || (len(d.keys) == 2 && d.keys[0].id == d.keys[1].id) {
		return nil, refusedFor(InvalidKey, "the current and the previous programme key need key ids of their own, and there are no more than the two")
	}
	for _, key := range d.keys {
		for _, kind := range []string{"sketch.email.local_part", "sketch.name", ring} {
			d.subKeys[[2]string{key.id, kind}] = macOf(key.secret, kind, "\x00")
		}
	}
	return d, nil
}

// Digests are those of a canonical value, one for each key, ordered by key id.
func (d *Digester) Digests(kind, canonical string) []*selfsamev1.Digest {
	var digests []*selfsamev1.Digest
	for _, key := range d.keys {
		digests = append(digests, &selfsamev1.Digest{KeyId: key.id, Value: macOf(key.secret, kind, "\x00", canonical)})
	}
	slices.SortFunc(digests, func(one, other *selfsamev1.Digest) int { return strings.Compare(one.KeyId, other.KeyId) })
	return digests
}

// Sketches are those of a folded text, one for each key, the current first; none of an empty one.
func (d *Digester) Sketches(kind, folded string) []*selfsamev1.Sketch {
	var sketches []*selfsamev1.Sketch
	for _, key := range d.keys {
		if folded != "" {
			sketches = append(sketches, &selfsamev1.Sketch{KeyId: key.id, Bits: bitsOf(d.subKeys[[2]string{key.id, kind}], kind, folded)})
		}
	}
	return sketches
}

// Email is an address.
func (d *Digester) Email(typed string) (*selfsamev1.EmailSignals, error) {
	address, err := ParseEmail(typed)
	if err != nil {
		return nil, err
	}
	mailbox := address.Mailbox(d.rules)
	bare := mailbox.BareLocalPart()
	class := selfsamev1.EmailDomainClass_value["EMAIL_DOMAIN_CLASS_"+d.rules.ClassOf(address.domain)]
	signals := &selfsamev1.EmailSignals{
		Exact:           d.Digests("email.exact", address.Exact()),
		Mailbox:         d.Digests("email.mailbox", mailbox.Address()),
		LocalPart:       d.Digests("email.local_part", bare),
		Domain:          d.Digests("email.domain", mailbox.domain),
		DomainClass:     selfsamev1.EmailDomainClass(class).Enum(),
		LocalPartSketch: d.Sketches("sketch.email.local_part", bare),
		PersonSketch:    d.Sketches(ring, PersonOfMailbox(mailbox)),
	}
	if pattern := mailbox.Pattern(); pattern != "" {
		signals.Pattern = d.Digests("email.pattern", pattern)
	}
	return signals, nil
}

// PlusFolded are the digests of the address cut at its `+`; none where the mailbox has the answer. The API has no field for it yet.
func (d *Digester) PlusFolded(typed string) ([]*selfsamev1.Digest, error) {
	address, err := ParseEmail(typed)
	if err != nil {
		return nil, err
	}
	if folded := address.PlusFolded(d.rules); folded != "" {
		return d.Digests("email.plus_folded", folded), nil
	}
	return nil, nil
}

// Name is a person's whole name.
func (d *Digester) Name(typed string) (*selfsamev1.NameSignals, error) {
	folded, inOrder, err := FoldName(typed)
	if err != nil {
		return nil, err
	}
	return &selfsamev1.NameSignals{
		Exact:        d.Digests("name.exact", folded),
		Sketch:       d.Sketches("sketch.name", folded),
		PersonSketch: d.Sketches(ring, PersonOfName(inOrder)),
	}, nil
}

// Device is a device's fingerprint and a browser's id, either empty when not known. The plain attributes are left for the caller to fill in.
func (d *Digester) Device(fingerprint, browser string) (*selfsamev1.DeviceSignals, error) {
	signals := &selfsamev1.DeviceSignals{}
	if fingerprint != "" {
		id, err := Identifier(fingerprint)
		if err != nil {
			return nil, err
		}
		signals.Fingerprint = d.Digests("device.fingerprint", id)
	}
	if browser != "" {
		id, err := Identifier(browser)
		if err != nil {
			return nil, err
		}
		signals.Browser = d.Digests("device.browser", id)
	}
	return signals, nil
}

// Networks are all entries of an address: one of IPv4; three of IPv6, whose wider prefixes stand in entries of their own.
func (d *Digester) Networks(typed string) ([]*selfsamev1.NetworkSignals, error) {
	address, prefixes, err := Network(typed)
	if err != nil {
		return nil, err
	}
	var entries []*selfsamev1.NetworkSignals
	for _, prefix := range prefixes {
		entries = append(entries, &selfsamev1.NetworkSignals{Prefix: d.Digests("network.prefix", prefix)})
	}
	entries[0].Address = d.Digests("network.address", address)
	return entries, nil
}

// Payment is a payment instrument.
func (d *Digester) Payment(kind Kind, purpose selfsamev1.PaymentPurpose, typed string) (*selfsamev1.PaymentSignals, error) {
	canonical, err := Instrument(kind, typed)
	if err != nil {
		return nil, err
	}
	of := selfsamev1.PaymentKind_value["PAYMENT_KIND_"+string(kind)]
	digests := d.Digests("payment.instrument", canonical)
	return &selfsamev1.PaymentSignals{Instrument: digests, Kind: selfsamev1.PaymentKind(of), Purpose: purpose}, nil
}

// Raw is what is known of an account.
type Raw struct {
	AccountID string
	Emails    []string
	Names     []string
	Devices   []RawDevice
	Addresses []string
	Payments  []RawPayment
}

// RawDevice is a device as it is known. Attributes are the message's plain fields; nil when none are known.
type RawDevice struct {
	Fingerprint, Browser string
	Attributes           *selfsamev1.DeviceSignals
}

// RawPayment is a payment instrument as it is known.
type RawPayment struct {
	Kind       Kind
	Purpose    selfsamev1.PaymentPurpose
	Instrument string
}

// LeftOut is a value that was not digested: which (0 is the first), of which field, and why.
type LeftOut struct {
	Field string
	Index int
	Err   error
}

// Bundle is what is known of an account, and what was left out of it.
func (d *Digester) Bundle(raw Raw) (*selfsamev1.SignalBundle, []LeftOut) {
	bundle := &selfsamev1.SignalBundle{AccountId: raw.AccountID}
	var leftOut []LeftOut
	add := func(field string, index int, err error) {
		if err != nil {
			leftOut = append(leftOut, LeftOut{field, index, err})
		}
	}
	for at, typed := range raw.Emails {
		signals, err := d.Email(typed)
		bundle.Emails = appended(bundle.Emails, signals, err)
		add("emails", at, err)
	}
	for at, typed := range raw.Names {
		signals, err := d.Name(typed)
		bundle.Names = appended(bundle.Names, signals, err)
		add("names", at, err)
	}
	for at, device := range raw.Devices {
		signals, err := d.Device(device.Fingerprint, device.Browser)
		if err == nil && device.Attributes != nil {
			proto.Merge(signals, device.Attributes)
		}
		bundle.Devices = appended(bundle.Devices, signals, err)
		add("devices", at, err)
	}
	for at, typed := range raw.Addresses {
		entries, err := d.Networks(typed)
		bundle.Networks = append(bundle.Networks, entries...)
		add("networks", at, err)
	}
	for at, payment := range raw.Payments {
		signals, err := d.Payment(payment.Kind, payment.Purpose, payment.Instrument)
		bundle.Payments = appended(bundle.Payments, signals, err)
		add("payments", at, err)
	}
	return bundle, leftOut
}

func appended[Signals any](all []Signals, one Signals, err error) []Signals {
	if err != nil {
		return all
	}
	return append(all, one)
}

// Dice is how similar two sketches of one kind and key are, [0, 1].
func Dice(one, other []byte) float64 {
	both, total := 0, 0
	for at := range min(len(one), len(other)) {
		both += bits.OnesCount8(one[at] & other[at])
		total += bits.OnesCount8(one[at]) + bits.OnesCount8(other[at])
	}
	if total == 0 {
		return 0
	}
	return 2 * float64(both) / float64(total)
}

func bigrams(kind, folded string) set {
	found := set{}
	add := func(one, next rune) { found[string([]rune{one, next})] = struct{}{} }
	words := strings.Fields(folded)
	if kind == ring {
		joined := []rune(strings.Join(words, ""))
		for at, character := range joined {
			add(character, joined[(at+1)%len(joined)])
		}
		for _, word := range words {
			add('_', []rune(word)[0])
		}
		return found
	}
	for _, word := range words {
		before := '_'
		for _, character := range word + "_" {
			add(before, character)
			before = character
		}
	}
	return found
}

func bitsOf(subKey []byte, kind, folded string) []byte {
	sketch := make([]byte, sketchBytes)
	for bigram := range bigrams(kind, folded) {
		drawn := macOf(subKey, bigram)
		for at := range positions {
			position := binary.BigEndian.Uint16(drawn[2*at:]) % (8 * sketchBytes)
			sketch[position/8] |= 1 << (position % 8)
		}
	}
	return sketch
}
