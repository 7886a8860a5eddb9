{{- define "hansang.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{/* What `mode` comes to: `services` where a database is given, else `all-in-one`. */}}
{{- define "hansang.mode" -}}
{{- if ne .Values.mode "auto" }}{{ .Values.mode }}
{{- else }}
{{- $given := or .Values.database.url .Values.database.existingSecret .Values.database.cloudNativePG.enabled .Values.defaults.database.existingSecret }}
{{- range .Values.services }}{{ $given = or $given (((. | default dict).database | default dict).existingSecret) }}{{ end }}
{{- if $given }}services{{ else }}all-in-one{{ end }}
{{- end }}
{{- end }}

{{- define "hansang.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* Of one part: (dict "root" $ "part" "order") */}}
{{- define "hansang.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{/* The parts of mode `services`, each with what it does not say itself. */}}
{{- define "hansang.parts" -}}
{{- $parts := dict }}
{{- range $name, $own := .Values.services }}
{{- $_ := set $parts $name (mergeOverwrite (deepCopy $.Values.defaults) ($own | default dict)) }}
{{- end }}
{{- $_ := set $parts "gateway" (mergeOverwrite (deepCopy .Values.defaults) .Values.gateway) }}
{{- toYaml $parts }}
{{- end }}

{{/* (dict "root" $ "image" .Values.image) */}}
{{- define "hansang.image" -}}
{{- with .image }}
{{- if .digest }}{{ printf "%s@%s" .repository .digest }}
{{- else }}{{ printf "%s:%s" .repository (.tag | default $.root.Chart.AppVersion) }}{{ end }}
{{- end }}
{{- end }}

{{- define "hansang.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "hansang.fullname" .) }}
{{- else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{/* What all pods have in common: nobody's user, and no way to the API server. */}}
{{- define "hansang.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  # Files that are there keep their modes: Postgres refuses a directory that a group may write.
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: { type: RuntimeDefault }
{{- end }}

{{/* Nothing to write to, nothing to gain. */}}
{{- define "hansang.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/*
Seconds from the signal until the process is killed: it serves on for a while, finishes what is under way,
and has some seconds more to close.
*/}}
{{- define "hansang.grace" -}}
{{- with .Values.config.deadline }}{{ div (add .drain_ms .shutdown_ms 999) 1000 | add 5 }}{{ end }}
{{- end }}

{{/* The Secret with the services' certificate, where they speak TLS. */}}
{{- define "hansang.servicesTls" -}}
{{- if eq (include "hansang.mode" .) "services" }}{{ .Values.tls.services.existingSecret }}{{ end }}
{{- end }}

{{/* (dict "root" $ "ask" "readiness"): Kubernetes' own gRPC probes speak no TLS. */}}
{{- define "hansang.probe" -}}
{{- if include "hansang.servicesTls" .root -}}
exec: { command: [hansang, healthcheck, --service={{ .ask }}] }
{{- else -}}
grpc: { port: 50051, service: {{ .ask }} }
{{- end }}
{{- end }}

{{/* Of the process alone in `liveness`: a database that is away is no reason to start anew. */}}
{{- define "hansang.probes" -}}
# Migrations, and a database that is still coming up, have three minutes.
startupProbe:
  {{ include "hansang.probe" (dict "root" . "ask" "readiness") }}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: 90
readinessProbe:
  {{ include "hansang.probe" (dict "root" . "ask" "readiness") }}
  periodSeconds: 3
  timeoutSeconds: 2
  failureThreshold: 2
livenessProbe:
  {{ include "hansang.probe" (dict "root" . "ask" "liveness") }}
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 3
{{- end }}

{{/* Helm's numbers are floats; the configuration's are not. Changes what it is given: (dict "of" $dict) */}}
{{- define "hansang.whole" -}}
{{- $of := .of }}
{{- range $key, $value := $of }}
{{- if kindIs "map" $value }}{{ include "hansang.whole" (dict "of" $value) }}
{{- else if kindIs "float64" $value }}
{{- if eq (floor $value) $value }}{{ $_ := set $of $key (int64 $value) }}{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The Secret with a service's `url`: (dict "root" $ "part" "order" "own" $own) */}}
{{- define "hansang.databaseSecret" -}}
{{- $database := .root.Values.database }}
{{- $name := include "hansang.fullname" .root }}
{{- if .own.database.existingSecret }}{{ .own.database.existingSecret }}
{{- else if $database.cloudNativePG.enabled }}{{ printf "%s-postgres-%s" $name .part }}
{{- else if $database.existingSecret }}{{ $database.existingSecret }}
{{- else if $database.url }}{{ printf "%s-database" $name }}
{{- else }}{{ fail "mode `services` needs one of database.url, database.existingSecret and database.cloudNativePG.enabled" }}
{{- end }}
{{- end }}

{{/* Where a service's password is, as a volume's source, if it is not in its `url`: the same arguments. */}}
{{- define "hansang.databasePassword" -}}
{{- $database := .root.Values.database }}
{{- if .own.database.existingSecret }}
{{- else if $database.cloudNativePG.enabled }}
{ secretName: {{ include "hansang.databaseSecret" . }}, defaultMode: 0440, items: [{ key: password, path: {{ .part }} }] }
{{- else if $database.passwordSecret }}
{ secretName: {{ $database.passwordSecret }}, defaultMode: 0440, items: [{ key: {{ .part }}, path: {{ .part }} }] }
{{- end }}
{{- end }}

{{- define "hansang.exportsClaim" -}}
{{- .Values.exports.existingClaim | default (printf "%s-exports" (include "hansang.fullname" .)) }}
{{- end }}

{{- define "hansang.picturesClaim" -}}
{{- .Values.web.pictures.existingClaim | default (printf "%s-pictures" (include "hansang.fullname" .)) }}
{{- end }}

{{/* `[service.web]`, as JSON. The sandbox's cards are offered where payment is told of no acquirer. */}}
{{- define "hansang.web" -}}
{{- $payment := .Values.services.payment | default dict }}
{{- $real := ((($payment.settings | default dict).acquirer | default dict).url) | default "" | empty | not }}
{{- range concat ($payment.env | default list) (.Values.defaults.env | default list) (.Values.allInOne.env | default list) }}
{{- if hasPrefix "HANSANG__SERVICE__PAYMENT__ACQUIRER__URL" .name }}{{ $real = true }}{{ end }}
{{- end }}
{{- $own := dict "sandbox" (not $real) }}
{{- if kindIs "bool" .Values.web.sandbox }}{{ $_ := set $own "sandbox" .Values.web.sandbox }}{{ end }}
{{- with .Values.web.account }}{{ $_ := set $own "account" . }}{{ end }}
{{- toJson $own }}
{{- end }}
