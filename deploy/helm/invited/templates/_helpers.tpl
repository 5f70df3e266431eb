{{- define "invited.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The release's name, and the chart's unless that is in it already. 45: the longest suffix (-nats-credentials) fits behind it. */}}
{{- define "invited.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 45 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 45 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 45 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* A Deployment's selector can't be changed later: nothing in here may depend on a version. */}}
{{- define "invited.selectorLabels" -}}
app.kubernetes.io/name: {{ include "invited.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "invited.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "invited.selectorLabels" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
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

{{/* Seconds that a pod has to stop: shutdown_grace (a Go duration), rounded up, and the margin. */}}
{{- define "invited.terminationSeconds" -}}
{{- $grace := (.Values.config.dispatch | default dict).shutdown_grace | default "20s" | toString -}}
{{- $seconds := 0.0 -}}
{{- range regexFindAll "[0-9]+([.][0-9]+)?(h|ms|m|s)" $grace -1 -}}
{{- $number := regexFind "[0-9.]+" . | float64 -}}
{{- $unit := regexFind "[a-z]+" . -}}
{{- $seconds = addf $seconds (mulf $number (get (dict "h" 3600.0 "m" 60.0 "s" 1.0 "ms" 0.001) $unit)) -}}
{{- end -}}
{{- add (ceil $seconds | int) .Values.terminationMarginSeconds }}
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
{{- if regexMatch "^(127[.]|localhost:|\\[::1\\]:)" .Values.config.admin.listen -}}
{{- fail "config.admin.listen is on loopback: the kubelet's probes and Prometheus can't reach it; use 0.0.0.0:9464" -}}
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
