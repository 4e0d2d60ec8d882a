// The emoji names that the small Slack knows; any other name is shown as `:name:`.

export const EMOJI = {
  "+1": "👍", thumbsup: "👍", "-1": "👎", thumbsdown: "👎", eyes: "👀", heart: "❤️", tada: "🎉", pray: "🙏", wave: "👋",
  clap: "👏", raised_hands: "🙌", raised_hand: "✋", ok_hand: "👌", muscle: "💪", fire: "🔥", sparkles: "✨", star: "⭐",
  white_check_mark: "✅", heavy_check_mark: "✔️", ballot_box_with_check: "☑️", x: "❌", negative_squared_cross_mark: "❎",
  warning: "⚠️", rotating_light: "🚨", no_entry: "⛔", no_entry_sign: "🚫", exclamation: "❗", question: "❓",
  hourglass: "⌛", hourglass_flowing_sand: "⏳", stopwatch: "⏱️", alarm_clock: "⏰", clock3: "🕒", zzz: "💤", bell: "🔔",
  no_bell: "🔕", lock: "🔒", unlock: "🔓", key: "🔑", speech_balloon: "💬", thought_balloon: "💭", memo: "📝",
  pencil: "📝", pushpin: "📌", paperclip: "📎", link: "🔗", mag: "🔍", inbox_tray: "📥", outbox_tray: "📤", package: "📦",
  email: "✉️", envelope: "✉️", telephone_receiver: "📞", iphone: "📱", computer: "💻", bust_in_silhouette: "👤",
  busts_in_silhouette: "👥", robot_face: "🤖", arrow_right: "➡️", arrow_left: "⬅️", arrow_up: "⬆️", arrow_down: "⬇️",
  arrows_counterclockwise: "🔄", repeat: "🔁", leftwards_arrow_with_hook: "↩️", red_circle: "🔴", large_blue_circle: "🔵",
  large_green_circle: "🟢", large_yellow_circle: "🟡", large_orange_circle: "🟠", white_circle: "⚪", black_circle: "⚫",
  smile: "😄", slightly_smiling_face: "🙂", joy: "😂", thinking_face: "🤔", cry: "😢", rage: "😡", innocent: "😇",
  sweat_smile: "😅", neutral_face: "😐", bulb: "💡", wrench: "🔧", gear: "⚙️", hammer: "🔨", bug: "🐛", rocket: "🚀",
  calendar: "📅", date: "📅", chart_with_upwards_trend: "📈", moneybag: "💰", credit_card: "💳", gift: "🎁", coffee: "☕",
  earth_africa: "🌍", globe_with_meridians: "🌐", cn: "🇨🇳", gb: "🇬🇧", flag_cn: "🇨🇳", flag_gb: "🇬🇧", boom: "💥",
};

/** What the reaction menu offers. */
export const REACTIONS = ["+1", "eyes", "white_check_mark", "tada", "heart", "pray", "thinking_face", "x"];

/** The character of a name (skin tones are left away), or `:name:`. */
export function emoji(name) {
  return EMOJI[name.split("::")[0]] ?? `:${name}:`;
}

/** Every `:name:` in a text that is known, replaced. */
export function withEmoji(text) {
  return text.replace(/:([a-z0-9_+-]+)(?:::skin-tone-\d)?:/g, (whole, name) => EMOJI[name] ?? whole);
}
