package portal

import "strings"

// browsers are looked for in this order: most of them claim to be the later ones too.
var browsers = []struct{ token, name string }{
	{"Edg/", "Edge"}, {"EdgA/", "Edge"}, {"EdgiOS/", "Edge"}, {"OPR/", "Opera"}, {"OPT/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"},
	{"Vivaldi/", "Vivaldi"}, {"YaBrowser/", "Yandex Browser"}, {"DuckDuckGo/", "DuckDuckGo"},
	{"FxiOS/", "Firefox"}, {"Firefox/", "Firefox"}, {"CriOS/", "Chrome"}, {"Chromium/", "Chromium"}, {"HeadlessChrome/", "Chrome"}, {"Chrome/", "Chrome"},
	{"Version/", "Safari"}, {"curl/", "curl"},
}

// systems likewise: an iPhone says that it is like a Mac, Android that it is Linux.
var systems = []struct{ token, name string }{
	{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"CrOS", "ChromeOS"}, {"Windows", "Windows"},
	{"Macintosh", "Mac"}, {"Mac OS X", "Mac"}, {"Tizen", "Tizen"}, {"Linux", "Linux"}, {"X11", "Unix"},
}

// Agent says which browser on which system a User-Agent header claims to be, as they call
// themselves; "" if it is none of those that people have. Anybody can claim anything: it is
// for a person to recognise their own, and for nothing else.
func Agent(header string) (browser, system string) {
	for _, b := range browsers {
		if strings.Contains(header, b.token) && (b.name != "Safari" || strings.Contains(header, "Safari/")) {
			browser = b.name
			break
		}
	}
	for _, s := range systems {
		if strings.Contains(header, s.token) {
			system = s.name
			break
		}
	}
	return browser, system
}
