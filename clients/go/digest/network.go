package digest

// Network addresses: one text for each, and the prefixes that a household or a site shares.

import (
	"fmt"
	"net/netip"
	"strings"
)

var nobodys = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("ff00::/8"),
}

// Network is the canonical address, and its prefixes, the narrowest first.
func Network(typed string) (address string, prefixes []string, err error) {
	text := trim(typed)
	if len(text) > 1 && strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		text = text[1 : len(text)-1]
	}
	parsed, err := netip.ParseAddr(text)
	if err != nil || parsed.Zone() != "" || strings.Contains(text, "%") {
		return "", nil, refused(NotAnAddress)
	}
	parsed = parsed.Unmap()
	for _, block := range nobodys {
		if block.Contains(parsed) {
			return "", nil, refused(NotOfAUser)
		}
	}
	lengths := []int{64, 56, 48}
	if parsed.Is4() {
		lengths = []int{24}
	}
	for _, bits := range lengths {
		prefix, err := parsed.Prefix(bits)
		if err != nil {
			return "", nil, refused(NotAnAddress)
		}
		prefixes = append(prefixes, fmt.Sprintf("%s/%d", prefix.Addr().StringExpanded(), bits))
	}
	return parsed.StringExpanded(), prefixes, nil
}
