{{- define "hansang.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{ end }}
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

{{- define "hansang.image" -}}
{{- with .Values.image }}
{{- if .digest }}{{ printf "%s@%s" .repository .digest }}
{{- else }}{{ printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) }}{{ end }}
{{- end }}
{{- end }}

{{- define "hansang.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "hansang.fullname" .) }}
{{- else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{- define "hansang.databaseSecret" -}}
{{- .Values.database.existingSecret | default (printf "%s-database" (include "hansang.fullname" .)) }}
{{- end }}

{{/* Nobody's user, nothing to write to, nothing to gain. */}}
{{- define "hansang.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "hansang.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{/* What every process is told besides its file: (dict "root" $ "part" "order") */}}
{{- define "hansang.env" -}}
- name: HANSANG__DATABASE__URL_FILE
  value: /etc/hansang/database/url
- name: HANSANG__PEERS__TEMPLATE
  value: http://{{ include "hansang.fullname" .root }}-{service}:50051
- name: HANSANG__AUTH__JWKS_FILE
  value: /etc/hansang/keys/jwks.json
{{- if ne .part "gateway" }}
- name: HANSANG__AUTH__SERVICE_KEY_FILE
  value: /etc/hansang/keys/service_key.pem
{{- end }}
{{- if eq .part "member" }}
- name: HANSANG__AUTH__SIGNING_KEY_FILE
  value: /etc/hansang/keys/signing_key.pem
{{- end }}
{{- end }}

{{/* Each process gets the keys that it needs, and no other. */}}
{{- define "hansang.keys" -}}
secret:
  secretName: {{ .root.Values.auth.existingSecret }}
  defaultMode: 0440
  items:
    - { key: jwks.json, path: jwks.json }
    {{- if ne .part "gateway" }}
    - { key: service_key.pem, path: service_key.pem }
    {{- end }}
    {{- if eq .part "member" }}
    - { key: signing_key.pem, path: signing_key.pem }
    {{- end }}
{{- end }}
