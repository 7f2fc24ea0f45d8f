// Colours of expressions: by place in the model's labels, so that no code spells one. Told apart by people who see
// fewer colours (Okabe and Ito 2008, two more), and always beside the word.

const COLOURS = ["#d55e00", "#8a6fb3", "#0072b2", "#e0a100", "#7d8285", "#3a9bdc", "#cc5f9c", "#009e73", "#6b4c2f", "#a3b300"];

export const colourOf = (labels, label) => {
  const place = labels.indexOf(label);
  return place < 0 ? "#8b8d8f" : COLOURS[place % COLOURS.length];
};
