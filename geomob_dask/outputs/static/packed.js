// Values that `packing.py` packed: compressed, in base64.
async function unpackJson(text) {
  return JSON.parse(new TextDecoder().decode(await inflated(bytesOfBase64(text))));
}

// Rounded numbers; NaN is missing. `codes` are kept as they are packed: few bytes a number.
async function unpackNumbers({decimals, low, size, bytes}) {
  const planes = await inflated(bytesOfBase64(bytes)), count = planes.length / size;
  const codes = new (size === 1 ? Uint8Array : size === 2 ? Uint16Array : size <= 4 ? Uint32Array : Float64Array)(count);
  for (let k = 0; k < size; k++) {
    const weight = 256 ** k;
    for (let i = 0, p = k * count; i < count; i++, p++) codes[i] += planes[p] * weight;
  }
  const unit = 10 ** Math.abs(decimals);
  const at = (i) => codes[i] === 0 ? NaN : decimals < 0 ? (codes[i] - 1 + low) * unit : (codes[i] - 1 + low) / unit;
  const format = new Intl.NumberFormat("en-US", {minimumFractionDigits: Math.max(decimals, 0), maximumFractionDigits: Math.max(decimals, 0)});
  return {count, at, text: (i) => format.format(at(i)).replace(/^-(?=[0.,]*$)/, ""), all: () => Float64Array.from(codes, (_, i) => at(i))};
}

// A column of few distinct texts.
async function unpackTexts({texts, codes}) {
  const numbers = await unpackNumbers(codes);
  return {at: (i) => texts[numbers.at(i)]};
}
