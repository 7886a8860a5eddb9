// Holds custom resources against the models that are generated from their definitions: every value by the
// schema, and that no field is unknown by the TypeScript type. To be copied to the folder that has the
// packages, and run there: node crds.mjs OBJECTS.json, a list of objects.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

const packages = {
  'monitoring.coreos.com/v1': 'prometheus-operator',
  'gateway.networking.k8s.io/v1': 'gateway-api',
  'postgresql.cnpg.io/v1': 'cloudnative-pg',
  'external-secrets.io/v1': 'external-secrets',
};
const objects = JSON.parse(readFileSync(process.argv[2], 'utf8'));
let wrong = 0;
const imports = new Map();
const typed = [];
for (const object of objects) {
  const { apiVersion, kind, metadata } = object;
  const name = `${kind} ${metadata.name}`;
  if (!(apiVersion in packages)) {
    console.error(`${name}: no schema of ${apiVersion} is at hand`);
    wrong += 1;
    continue;
  }
  const module = `@kubernetes-models/${packages[apiVersion]}/${apiVersion}/${kind}`;
  const { [kind]: Model } = await import(module);
  try {
    new Model(object).validate();
  } catch (error) {
    console.error(`${name}: ${error.message}`);
    wrong += 1;
  }
  imports.set(kind, module);
  typed.push(`// ${name}\nconst _${typed.length}: I${kind} = ${JSON.stringify(object, null, 1)};`);
}
const lines = [...imports].map(([kind, module]) => `import type { I${kind} } from '${module}';`);
writeFileSync('objects.ts', [...lines, ...typed].join('\n'));
try {
  execFileSync('node_modules/.bin/tsc', ['--noEmit', '--strict', '--skipLibCheck', '--target', 'es2022',
    '--module', 'nodenext', '--moduleResolution', 'nodenext', 'objects.ts'], { encoding: 'utf8' });
} catch (error) {
  console.error(`${error.stdout}(of ${process.cwd()}/objects.ts)`);
  wrong += 1;
}
console.log(`${objects.length} custom resources: ${[...imports.keys()].sort().join(', ')}`);
process.exit(wrong ? 1 : 0);
