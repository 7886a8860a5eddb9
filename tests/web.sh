#!/usr/bin/env bash
# Plays the shop's stories with Chromium as people do, at a desk and on a telephone, with script and without, in
# tests/web: shop.mjs; keyboard.mjs by keyboard alone; attacks.mjs what goes wrong, or is done on purpose; consoles.mjs
# what sellers and admins do. A process per service, so that some can be stopped. Screenshots are in target/tmp/web.
set -euo pipefail
cd "$(dirname "$0")/.."

# Korean letters, too, for the screenshots.
if ! command -v chromium >/dev/null || ! fc-list :lang=ko | grep -q .; then
    .ci/packages chromium fonts-nanum fontconfig
fi
node=$({ node --version 2>/dev/null || true; } | sed -E 's/^v([0-9]+).*/\1/')
[ "${node:-0}" -ge 20 ] || { PATH=$(.ci/tools .ci/node.txt):$PATH && export PATH; }
(cd tests/web && npm ci --ignore-scripts --no-audit --no-fund --silent)

shots=$PWD/target/tmp/web
mkdir -p "$shots"
. tests/deployment.sh
split=yes
# Laid over the gateway's policies, and changed by a story.
POLICIES=$dir/policies.toml
: >"$POLICIES"
HANSANG__HTTP__POLICIES=$POLICIES
export POLICIES HANSANG__HTTP__POLICIES
deployment
seller=$(login seller@hansang.local "$(password SELLER)")
admin=$(login admin@hansang.local "$(password ADMIN)")

# NAME PRICE STOCK DESCRIPTION
sell() {
    jq -n --arg name "$1" --arg price "$2" --argjson stock "$3" --arg text "$4" \
        '{displayName: $name, price: {currencyCode: "KRW", units: $price}, stock: $stock, description: $text}' \
        | call "$seller" /v1/products -d @- >/dev/null
}
sell '궁중 떡볶이 밀키트' 12900 50 $'간장으로 볶은 궁중식 떡볶이입니다.\n2인분, 조리 시간 15분.'
sell '전주식 콩나물국밥' 8900 80 '맑은 국물에 콩나물을 듬뿍 담았습니다.'
sell '놋그릇 세트' 45000 5 '밥그릇, 국그릇, 뚜껑 두 개.'
sell '햇 참기름 180ml' 9800 0 '국산 참깨를 바로 짰습니다.'
sell '<b>굵은</b> 소금 & "천일염"' 5400 200 '신안 갯벌에서 온 <em>천일염</em>입니다.'
sell '매우 긴 이름을 가진 한정판 개성 약과와 유과와 강정을 한 상자에 모두 담은 명절 선물 세트, 보자기 포장과 손글씨 카드 포함' 39000 12 '명절에 드리는 선물.'
# As long as names may be: words, and one word that has no place to break.
long=$(printf '%.0s무척이나 길고 긴 이름 ' {1..14})
sell "$long!" 21000 9 "$long!"
word=$(printf '%.0sUnbrokenlongword' {1..12})
sell "$word" 22000 9 "$word"
for name in '돌솥 비빔밥' '감자 수제비' '들깨 미역국' '안동 찜닭' '춘천 닭갈비' '통영 굴국밥' '제주 갈치조림' '수원 왕갈비탕' '평양 물냉면' \
    '부산 밀면' '강릉 초당순두부' '나주 곰탕' '담양 떡갈비' '의정부 부대찌개' '광주 오리탕' '여수 갓김치' '영광 굴비' '이천 쌀 10kg' '보성 녹차' '공주 밤'; do
    sell "$name" $((RANDOM % 40 * 500 + 6000)) 30 "$name 한 상."
done
product=$(call '' '/v1/products?pageSize=200' | jq -r '.products[] | select(.displayName == "전주식 콩나물국밥").id')

export API=$api SELLER=$seller ADMIN=$admin PRODUCT=$product PROCESSES=$dir/data/processes.json SHOTS=$shots
CHROMIUM=$(command -v chromium) SELLER_PASSWORD=$(password SELLER) ADMIN_PASSWORD=$(password ADMIN)
export CHROMIUM SELLER_PASSWORD ADMIN_PASSWORD
node tests/web/shop.mjs
node tests/web/keyboard.mjs
node tests/web/attacks.mjs
node tests/web/consoles.mjs
