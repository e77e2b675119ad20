#!/bin/sh
# An agent for atomd in twenty lines of shell: it says back what it is told.
# Shell knows no JSON, so this takes the texts out as they are written, quotes
# and escapes included, and puts them back the same way: enough for an echo,
# and for handing them to a program that does read JSON.

first() { # the first string called $1 in the line, with its quotes
	printf '%s\n' "$line" | sed -nE \
		"s/\"$1\":/\n/; s/^[^\n]*\n[ ]*(\"([^\"\\\\]|\\\\.)*\").*/\1/p"
}

echo '{"op":"ready","protocol":1,"name":"echo","version":"1",' \
	'"concurrency":1,"caps":[],"agents":{}}' >&3
while IFS= read -r line <&3; do
	[ "$(first op)" = '"call"' ] || continue
	id=$(first id) text=$(first input)
	if [ -n "$text" ]; then
		echo_of="\"op\":\"result\",\"output\":$text"
	else
		echo_of='"op":"error","code":"invalid_input","message":"text only"'
	fi
	printf '{"id":%s,%s}\n' "$id" "$echo_of" >&3
done
