{{- define "invited.name" -}}
{{- include "invited.label" (list (default .Chart.Name .Values.nameOverride) 63) }}
{{- end }}

{{/* A text as a label may be: of these characters, and of no more, and the last one a letter or a number. list: text, characters. */}}
{{- define "invited.label" -}}
{{- regexReplaceAll "[^A-Za-z0-9_.-]" (index . 0) "_" | trunc (index . 1) | regexFind "^.*[A-Za-z0-9]" }}
{{- end }}

{{/*
The release's name, and the chart's unless that is in it already. A Service's begins with a letter and has no dots, which a release's
may have. 45: the longest suffix of what has 63 (-nats-credentials) fits behind it.
*/}}
{{- define "invited.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $release := .Release.Name | replace "." "-" -}}
{{- $full := printf "%s-%s" $release $name -}}
{{- if .Values.fullnameOverride -}}
{{- $full = .Values.fullnameOverride -}}
{{- else if regexMatch "^[0-9]" $release -}}
{{- $full = printf "%s-%s" $name $release -}}
{{- else if contains $name $release -}}
{{- $full = $release -}}
{{- end -}}
{{- include "invited.label" (list $full 45) }}
{{- end }}

{{/* A Deployment's selector can't be changed later: nothing in here may depend on a version. */}}
{{- define "invited.selectorLabels" -}}
app.kubernetes.io/name: {{ include "invited.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "invited.labels" -}}
helm.sh/chart: {{ include "invited.label" (list (printf "%s-%s" .Chart.Name .Chart.Version) 63) | quote }}
{{ include "invited.selectorLabels" . }}
app.kubernetes.io/version: {{ include "invited.label" (list (.Values.image.tag | default .Chart.AppVersion) 63) | quote }}
app.kubernetes.io/component: worker
app.kubernetes.io/part-of: invited
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "invited.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (ternary (include "invited.fullname" .) "default" .Values.serviceAccount.create) }}
{{- end }}

{{- define "invited.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* The name of a Secret: the one that is there, or the one that the chart makes. Empty: not used. list: root, which, suffix. */}}
{{- define "invited.secretName" -}}
{{- $secret := index . 1 -}}
{{- if $secret.existingSecret -}}
{{ $secret.existingSecret }}
{{- else if or $secret.value $secret.values -}}
{{ include "invited.fullname" (index . 0) }}-{{ index . 2 }}
{{- end }}
{{- end }}

{{/* Where secrets are mounted. The configuration and the Deployment have to agree. */}}
{{- define "invited.dir.credentials" }}/run/secrets/nats-credentials{{ end }}
{{- define "invited.dir.tls" }}/run/secrets/nats-tls{{ end }}
{{- define "invited.dir.tokens" }}/run/secrets/xbl{{ end }}

{{/* The configuration: what .Values.config says, and where the secrets are mounted. */}}
{{- define "invited.config" -}}
{{- $mounted := dict -}}
{{- $nats := dict -}}
{{- if include "invited.secretName" (list . .Values.secrets.natsCredentials "") -}}
{{- $_ := set $nats "credentials_file" (printf "%s/%s" (include "invited.dir.credentials" .) .Values.secrets.natsCredentials.key) -}}
{{- end -}}
{{- with .Values.secrets.natsTLS -}}
{{- if .existingSecret -}}
{{- $tls := dict -}}
{{- $dir := include "invited.dir.tls" $ -}}
{{- with .ca }}{{ $_ := set $tls "ca_file" (printf "%s/%s" $dir .) }}{{ end -}}
{{- with .cert }}{{ $_ := set $tls "cert_file" (printf "%s/%s" $dir .) }}{{ end -}}
{{- with .key }}{{ $_ := set $tls "key_file" (printf "%s/%s" $dir .) }}{{ end -}}
{{- $_ := set $nats "tls" $tls -}}
{{- end -}}
{{- end -}}
{{- if $nats }}{{ $_ := set $mounted "nats" $nats }}{{ end -}}
{{- if include "invited.secretName" (list . .Values.secrets.tokens "") -}}
{{- $_ := set $mounted "tokens" (dict "source" "file" "file" (dict "dir" (include "invited.dir.tokens" .))) -}}
{{- end -}}
{{- toYaml (mergeOverwrite $mounted (deepCopy .Values.config)) }}
{{- end }}

{{- define "invited.partitions" -}}
{{- (.Values.config.nats | default dict).partitions | default 16 | int }}
{{- end }}

{{- define "invited.port" -}}
{{- .Values.config.admin.listen | splitList ":" | last }}
{{- end }}

{{/* A duration as Go writes it, in seconds. */}}
{{- define "invited.seconds" -}}
{{- $seconds := 0.0 -}}
{{- range regexFindAll "[0-9]+([.][0-9]+)?(h|ms|m|s)" . -1 -}}
{{- $number := regexFind "[0-9.]+" . | float64 -}}
{{- $unit := regexFind "[a-z]+" . -}}
{{- $seconds = addf $seconds (mulf $number (get (dict "h" 3600.0 "m" 60.0 "s" 1.0 "ms" 0.001) $unit)) -}}
{{- end -}}
{{- $seconds }}
{{- end }}

{{/* Seconds that a pod has to stop: shutdown_grace, rounded up, and the margin. */}}
{{- define "invited.terminationSeconds" -}}
{{- $grace := include "invited.seconds" ((.Values.config.dispatch | default dict).shutdown_grace | default "20s") | float64 -}}
{{- add (ceil $grace | int) .Values.terminationMarginSeconds }}
{{- end }}

{{/*
Addresses that the configuration has and the NetworkPolicy lets nobody reach, one a line: NATS on other ports than natsPorts, and all
others than port 443 of public addresses, unless there are rules of your own (extraEgress). Nothing of an address is repeated but its port.
*/}}
{{- define "invited.unreachable" -}}
{{- if and .Values.networkPolicy.enabled (not .Values.networkPolicy.extraEgress) -}}
{{- $config := .Values.config -}}
{{- $ports := list -}}
{{- range .Values.networkPolicy.natsPorts }}{{ $ports = append $ports (toString .) }}{{ end -}}
{{- range $what, $urls := dict "config.nats.url" (($config.nats | default dict).url) "secrets.natsURL.value" .Values.secrets.natsURL.value -}}
{{- range $urls | default "" | splitList "," -}}
{{- $port := regexFind ":[0-9]+/?$" . | trimAll ":/" -}}
{{- if and . (not $port) (not (contains "${" .)) -}}
{{- $port = get (dict "ws" "80" "wss" "443") (splitList "://" . | first) | default "4222" -}}
{{- end -}}
{{- if and $port (not (has $port $ports)) }}
{{ $what }} has port {{ $port }}, and networkPolicy.natsPorts does not
{{- end -}}
{{- end -}}
{{- end -}}
{{- $tokens := $config.tokens | default dict -}}
{{- $s2s := $tokens.s2s | default dict -}}
{{- $others := dict "config.xbl.base_url" ($config.xbl | default dict).base_url "config.tokens.http.url" ($tokens.http | default dict).url "config.tokens.s2s.service_url" $s2s.service_url "config.tokens.s2s.xsts_url" $s2s.xsts_url -}}
{{- range .Values.extraEnv -}}
{{- if has .name (list "OTEL_EXPORTER_OTLP_ENDPOINT" "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" "INVITED_XBL_BASE_URL" "HTTPS_PROXY" "https_proxy") }}{{ $_ := set $others .name .value }}{{ end -}}
{{- end -}}
{{- range $what, $url := $others -}}
{{- if and $url (not (regexMatch "[$][{(]" $url)) -}}
{{- $host := regexReplaceAll "^.*@" (regexReplaceAll "^([a-z]+://)?([^/?#]*).*$" $url "${2}") "" -}}
{{- $port := regexFind ":[0-9]+$" $host | trimPrefix ":" | default (ternary "80" "443" (hasPrefix "http://" $url)) -}}
{{- if regexMatch "^(127[.]|localhost(:|$)|\\[::1\\])" $host -}}
{{- else if ne $port "443" }}
{{ $what }} has port {{ $port }}, and networkPolicy lets only 443 out: see networkPolicy.extraEgress
{{- else if regexMatch "(^[^.:]+|[.]svc|[.]svc[.].*|[.]local)(:[0-9]+)?$" $host }}
{{ $what }} is in the cluster, and networkPolicy lets only public addresses be called: see networkPolicy.extraEgress
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* What would install and not work, or put a secret where it can be read. */}}
{{- define "invited.validate" -}}
{{- $url := (.Values.config.nats | default dict).url | default "" -}}
{{- if not (or $url (include "invited.secretName" (list . .Values.secrets.natsURL ""))) -}}
{{- fail "config.nats.url is empty: say where NATS is, there or in secrets.natsURL. (The embedded server is for one worker on one machine.)" -}}
{{- end -}}
{{- if and (contains "@" $url) (not (contains "${" $url)) -}}
{{- fail "config.nats.url has a user or password in it, and it would stand in a ConfigMap: use secrets.natsURL, or ${NAME} and extraEnv" -}}
{{- end -}}
{{- $authorization := ((.Values.config.tokens | default dict).static | default dict).authorization | default "" -}}
{{- if and $authorization (not (contains "${" $authorization)) -}}
{{- fail "config.tokens.static.authorization is a token, and it would stand in a ConfigMap: use secrets.authorization, or ${NAME} and extraEnv" -}}
{{- end -}}
{{- $broker := ((.Values.config.tokens | default dict).http | default dict).url | default "" -}}
{{- if and (regexMatch "^[^/]*//[^/]*@" $broker) (not (contains "${" $broker)) -}}
{{- fail "config.tokens.http.url has a user or password in it, and it would stand in a ConfigMap: use ${NAME} and extraEnv" -}}
{{- end -}}
{{- if regexMatch "^(127[.]|localhost:|\\[::1\\]:)" .Values.config.admin.listen -}}
{{- fail "config.admin.listen is on loopback: the kubelet's probes and Prometheus can't reach it; use 0.0.0.0:9464" -}}
{{- end -}}
{{- if gt (include "invited.port" . | int) 65535 -}}
{{- fail (printf "config.admin.listen has port %s: there are 65535" (include "invited.port" .)) -}}
{{- end -}}
{{- range .Values.extraEnv -}}
{{- if eq .name "INVITED_ADMIN_LISTEN" -}}
{{- fail "extraEnv has INVITED_ADMIN_LISTEN, and probes and Prometheus go by config.admin.listen: use that" -}}
{{- end -}}
{{- end -}}
{{- with include "invited.unreachable" . | trim -}}
{{- fail . -}}
{{- end -}}
{{- with .Values.serviceMonitor -}}
{{- if and .enabled (gt (include "invited.seconds" .scrapeTimeout | float64) (include "invited.seconds" .interval | float64)) -}}
{{- fail (printf "serviceMonitor.scrapeTimeout (%s) is more than serviceMonitor.interval (%s): the operator refuses that" .scrapeTimeout .interval) -}}
{{- end -}}
{{- end -}}
{{- $partitions := include "invited.partitions" . | int -}}
{{- $most := ternary .Values.keda.maxReplicas .Values.replicaCount .Values.keda.enabled | int -}}
{{- if gt $most $partitions -}}
{{- fail (printf "%s is %d, but only config.nats.partitions (%d) workers can share work" (ternary "keda.maxReplicas" "replicaCount" .Values.keda.enabled) $most $partitions) -}}
{{- end -}}
{{- if .Values.keda.enabled -}}
{{- if not .Values.keda.prometheus.serverAddress -}}
{{- fail "keda.prometheus.serverAddress is empty: say where the Prometheus is that scrapes the workers" -}}
{{- end -}}
{{- if gt (int .Values.keda.minReplicas) (int .Values.keda.maxReplicas) -}}
{{- fail "keda.minReplicas is more than keda.maxReplicas" -}}
{{- end -}}
{{- end -}}
{{- end }}
