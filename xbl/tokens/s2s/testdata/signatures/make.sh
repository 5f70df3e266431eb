#!/usr/bin/env bash
# Makes the vectors in this directory with printf, xxd and openssl alone, and nothing of the code that they test:
#
#   NAME.body       the request's body
#   NAME.message    the bytes that are signed
#   NAME.header     the value of the header Signature
#   public.pem      the key to check them with; the private one is thrown away
#
# What is signed (each part is followed by a zero byte):
#
#   policy version, 4 bytes, big endian
#   time, 8 bytes, big endian: units of 100 ns since 1601-01-01 UTC
#   method, path and query, Authorization value, at most the first 8192 bytes of the body
#
# The header is base64 of: version, time, r and s of the ECDSA signature (P-256, SHA-256), 32 bytes each.
#
# Signatures have a random number in them: run again, it makes others, as good.
set -euo pipefail
cd "$(dirname "$0")"
key=$(mktemp)
trap 'rm -f "$key"' EXIT
openssl ecparam -name prime256v1 -genkey -noout -out "$key"
openssl ec -in "$key" -pubout -out public.pem 2>/dev/null

# 2026-12-24 20:00:00.1234567 UTC: 1798142400 s after 1970, which is 11644473600 s after 1601.
time=$(printf '%016x' $(((1798142400 + 11644473600) * 10000000 + 1234567)))

vector() { # NAME METHOD PATH AUTHORIZATION, and NAME.body
	{
		printf '00000001' | xxd -r -p
		printf '\0'
		printf '%s' "$time" | xxd -r -p
		printf '\0'
		printf '%s\0%s\0%s\0' "$2" "$3" "$4"
		head -c 8192 "$1.body"
		printf '\0'
	} >"$1.message"
	openssl dgst -sha256 -sign "$key" -out "$1.der" "$1.message"
	openssl dgst -sha256 -verify public.pem -signature "$1.der" "$1.message"
	# The two integers of the DER sequence, without a leading zero byte, filled up to 32 bytes each.
	local r s
	read -r r s < <(openssl asn1parse -inform der -in "$1.der" | sed -n 's/.*INTEGER *://p' | tr '\n' ' ') || true # read wants a line break
	r=$(printf '%64s' "$r" | tr ' ' 0)
	s=$(printf '%64s' "$s" | tr ' ' 0)
	printf '00000001%s%s%s' "$time" "$r" "$s" | xxd -r -p | base64 -w0 >"$1.header"
	rm "$1.der"
}

printf '%s' '{"RelyingParty":"http://auth.xboxlive.com","TokenType":"JWT"}' >authenticate.body
vector authenticate POST /service/authenticate ''

printf '%s' '{"invitedUsers":["2533274790395904"],"connectionString":"lobby=42","sender":"2533274790395905"}' >invite.body
vector invite POST '/titles/1739947436/invites/server?a=b&c=%20d' 'XBL3.0 x=-;eyJhbGciOi.c2VydmljZQ.dG9rZW4'

head -c 9000 /dev/zero | tr '\0' x >long.body
vector long PUT / 'XBL3.0 x=1;t'

: >empty.body
vector empty GET / 'XBL3.0 x=1;t'
